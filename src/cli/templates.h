/* templates.h - the policies of examples/, in the program: made by embed.awk at build time */
#pragma once

extern const char template_claude[], template_codex[], template_generic[];
