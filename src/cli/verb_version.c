/* verb_version.c - `paddock version`: what a report of a problem should say */
#include "cli/cli.h"
#include "cli/version.h"

#include <stdio.h>
#include <sys/utsname.h>

int verb_version(int argc, char **argv)
{
	bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
	struct utsname host;

	if (argc > 1 && !json)
		return cli_usage("version", "expected nothing, or --json");
	if (uname(&host) != 0)
		return CLI_EXIT_FAILURE;
	if (json)
		printf("{\"version\": \"%s\", \"policy_versions\": [1], \"compiler\": \"%s\", \"kernel\": "
		       "\"%s\", "
		       "\"machine\": \"%s\"}\n",
		       paddock_version, __VERSION__, host.release, host.machine);
	else
		printf("paddock %s (policy version 1; Linux %s, %s)\n", paddock_version, host.release,
		       host.machine);
	return 0;
}
