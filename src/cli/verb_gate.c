/* verb_gate.c - `paddock gate`: the options, then the gate; and tokens for its clients */
#include "cli/cli.h"

#include "base/log.h"
#include "cli/options.h"
#include "policy/digest.h"
#include "supervisor/gate.h"
#include "supervisor/supervisor.h"

#include <stdio.h>
#include <sys/random.h>

#define TOKEN_RANDOM 20	/* bytes */

/* A token is said once; the file for --clients has its digest. */
static int new_token(const char *name)
{
	unsigned char random[TOKEN_RANDOM];
	char digest[DIGEST_HEX_BYTES];
	auto_buf token = BUF_EMPTY;

	buf_init(&token, 256);
	if (getrandom(random, sizeof random, 0) != sizeof random) {
		log_error("no random bytes");
		return CLI_EXIT_FAILURE;
	}
	buf_put_z(&token, "pgt_");
	buf_put_hex(&token, str_make(random, sizeof random));
	if (!buf_z(&token) || !digest_hex(token.p, token.len, digest)) {
		log_error("out of memory");
		return CLI_EXIT_FAILURE;
	}
	(void)printf("%s %s\n", name, digest);
	(void)fprintf(stderr, "token of %s, shown this once: %s\n"
			      "proxy URL: http://%s:%s@ADDRESS:PORT\n"
			      "the line on standard output goes into the file of --clients\n",
		      name, buf_z(&token), name, buf_z(&token));
	return 0;
}

int verb_gate(int argc, char **argv)
{
	struct spec spec;
	auto_buf why = BUF_EMPTY;
	int code = SUPERVISOR_EXIT_FAILURE;
	enum err e;

	if (argc == 3 && !strcmp(argv[1], "--new-token"))
		return options_client_name(argv[2]) ? new_token(argv[2])
						    : cli_usage("gate", "--new-token %s: expected 1 to 63 letters, digits, '-', '_' or '.'", argv[2]);
	buf_init(&why, 8192);
	e = options_parse_gate(argc, argv, &spec, &why);
	if (e == ERR_STATE) {
		options_free(&spec);
		return cli_help("gate");
	}
	if (e) {
		log_error("%s", why.len && buf_z(&why) ? buf_z(&why) : err_text(e));
	} else {
		if (spec.policy_note)
			log_note("%s", spec.policy_note);
		code = gate_run(&spec);
	}
	options_free(&spec);
	return code;
}
