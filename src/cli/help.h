/* help.h - the whole help text of each verb; docs/paddock.1 says the same at more length */
#pragma once

extern const char help_run[], help_gate[], help_ps[], help_stop[], help_doctor[], help_policy[],
	help_credential[], help_init[], help_version[], help_completion[], help_help[];
