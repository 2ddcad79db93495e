/* main.c - paddock-harness: `paddock` with the namespace machine, for tests */
#include "cli/cli.h"
#include "harness/namespace.h"

int main(int argc, char **argv)
{
	machine_register(&machine_namespace);
	return cli_main(argc, argv);
}
