/* version.h - the project's version, from the build */
#pragma once

extern const char paddock_version[];
