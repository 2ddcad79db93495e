/* help.c - words only; see help.h */
#include "cli/help.h"

const char help_run[] =
	"usage: paddock run [options] -- COMMAND [ARGUMENT...]\n"
	"\n"
	"Starts COMMAND in a sandbox of its own. Its requests reach the world only as the policy\n"
	"allows, with credentials that it never holds; each is recorded.\n"
	"\n"
	"  --policy FILE      the policy; default: ./paddock.yaml, once `paddock policy trust`\n"
	"                     has seen it. With no policy everything is denied.\n"
	"  --workspace DIR    the directory that is shared, under the same path; default: the\n"
	"                     current one\n"
	"  --image IMAGE      host (this computer's tools, read-only), debian, or a file\n"
	"  --machine DRIVER   qemu (the one there is)\n"
	"  --memory SIZE      such as 2GiB\n"
	"  --cpus N\n"
	"  --env NAME[=VALUE] a variable for COMMAND; without a value, as it is here. Repeatable.\n"
	"  --name NAME        what `ps`, `stop` and `audit` call this run\n"
	"  --timeout TIME     end the run after, such as 90s or 2h\n"
	"  --quiet            no progress, no summary\n"
	"  --resolve HOST:PORT:ADDRESS[:PORT]\n"
	"                     dial ADDRESS for HOST (tests, private networks). Repeatable.\n"
	"  --upstream-ca FILE certificates (PEM) that upstreams may have, besides the system's\n"
	"\n"
	"Exit status: COMMAND's own; 124 if its time was up, 125 if Paddock failed, 126 if COMMAND\n"
	"cannot be run, 127 if it is not there, 128 and its number if a signal ended it. Ctrl-C\n"
	"twice always ends a run.\n"
	"\n"
	"examples:\n"
	"  paddock run -- claude -p 'fix the failing test'\n"
	"  paddock run --policy ci.yaml --timeout 10m --name nightly -- npm test\n";

const char help_gate[] =
	"usage: paddock gate --listen ADDRESS:PORT [options]\n"
	"       paddock gate --new-token NAME\n"
	"\n"
	"The gate of `paddock run` as an explicit proxy (CONNECT, and http:// in absolute form), for\n"
	"agents that no sandbox holds: sidecars, CI, other machines. The same policy, credentials and\n"
	"trail; but nothing makes a client use it, so take its other ways out away from it.\n"
	"\n"
	"  --listen ADDRESS:PORT  numeric; [::1]:3128 for IPv6; port 0: any. Without --clients only\n"
	"                         loopback.\n"
	"  --policy FILE          default: ./paddock.yaml, once `paddock policy trust` has seen it\n"
	"  --clients FILE         who may use it: a name and the SHA-256 of a token a line. Clients\n"
	"                         send it as password or bearer of Proxy-Authorization; the trail has\n"
	"                         the name.\n"
	"  --env-file FILE        write the variables that clients need: proxy, CA, placeholders\n"
	"  --name NAME            what `ps`, `stop` and `audit` call it\n"
	"  --resolve, --upstream-ca, --quiet   as in `paddock run`\n"
	"  --new-token NAME       print a new token, and its line for --clients\n"
	"\n"
	"One line of JSON on standard output says where it listens and where those files are. It\n"
	"follows changes of the policy. Exit status: 0 when a signal or `paddock stop` ended it, else\n"
	"125.\n"
	"\n"
	"example:\n"
	"  paddock gate --listen 127.0.0.1:3128 --policy ci.yaml --env-file gate.env &\n"
	"  set -a; . ./gate.env; claude -p 'fix the failing test'\n";

const char help_ps[] = "usage: paddock ps [--json]\n"
		       "\n"
		       "Lists the runs of this user that are alive.\n";

const char help_stop[] = "usage: paddock stop ID|NAME\n"
			 "\n"
			 "Ends a run: the beginning of its id is enough. `paddock ps` lists them.\n";

const char help_doctor[] =
	"usage: paddock doctor [--json]\n"
	"\n"
	"Tries each thing that Paddock needs of this host, and says how to mend what is missing.\n"
	"Exit status: 0 if runs can work here, 1 if not.\n";

const char help_policy[] =
	"usage: paddock policy check [FILE...]\n"
	"       paddock policy explain FILE METHOD URL [--json] [--header NAME:VALUE]...\n"
	"           [--ref NAME[:create|update|delete|force]] [--age DAYS] [--package-version VERSION]\n"
	"       paddock policy explain FILE CONNECT HOST:PORT [--json]\n"
	"       paddock policy trust [FILE]\n"
	"       paddock policy untrust [FILE|DIGEST]\n"
	"       paddock policy trusted [--json]\n"
	"\n"
	"check    is it valid? Each mistake is named with file, line and column.\n"
	"explain  what would be decided of this request, by which rule, and what would have to\n"
	"         change; GET and a wss:// URL: of a WebSocket; CONNECT: would a connection to\n"
	"         there pass unopened? --ref tells what a push does, --age and --package-version\n"
	"         of which version of a package is asked. Exit status: 0 allowed, 1 denied,\n"
	"         3 undecided: it depends on what was not told, 125 could not tell.\n"
	"trust    use this file for runs in its directory. A policy that is found in a workspace\n"
	"         could have been written by an agent: until you have trusted its very text it is\n"
	"         not used. Any change needs to be trusted again. `run --policy FILE` needs no trust.\n"
	"untrust  take that back\n"
	"trusted  list what is trusted\n"
	"\n"
	"FILE is paddock.yaml unless it is given. The language: docs/policy.md\n"
	"\n"
	"examples:\n"
	"  paddock policy explain paddock.yaml POST https://api.anthropic.com/v1/messages\n"
	"  paddock policy explain paddock.yaml GET \\\n"
	"      'https://github.com/acme/site.git/info/refs?service=git-receive-pack'\n"
	"  paddock policy explain paddock.yaml --ref agent/fix:create \\\n"
	"      POST https://github.com/acme/site.git/git-receive-pack\n"
	"  paddock policy explain paddock.yaml CONNECT db.internal.example:5432\n"
	"  paddock policy check policies/*.yaml\n";

const char help_credential[] =
	"usage: paddock credential seal NAME [--file FILE] [--keyring]\n"
	"       paddock credential list [--json]\n"
	"       paddock credential remove NAME\n"
	"       paddock credential rotate-key [--keyring]\n"
	"\n"
	"Secrets at rest, encrypted (AES-256-GCM), for policies that say `source: {sealed: NAME}`.\n"
	"\n"
	"  seal         encrypts what comes on standard input, or FILE; a terminal is asked, without\n"
	"               showing it. One newline at the end is not part of it. An entry of that name\n"
	"               is replaced. A value is never an argument: every process could read it there.\n"
	"  list         names, the key of each, and whether it opens; never a value\n"
	"  remove       forgets an entry\n"
	"  rotate-key   makes a new key and seals everything with it\n"
	"  --keyring    the key is made in the kernel's keyring instead of a file: nothing that opens\n"
	"               an entry is on the disk, and a reboot forgets it\n"
	"\n"
	"The key is made at first use: $XDG_CONFIG_HOME/paddock/seal.key, for your eyes only.\n"
	"\n"
	"example:\n"
	"  pass show api/key | paddock credential seal api-key\n";

const char help_init[] =
	"usage: paddock init claude|codex|generic [--force]\n"
	"\n"
	"Writes ./paddock.yaml, a policy with comments to start from, and says what comes next.\n"
	"An existing file is only replaced with --force.\n";

const char help_version[] = "usage: paddock version [--json]\n";

const char help_completion[] =
	"usage: paddock completion bash|zsh|fish\n"
	"\n"
	"Prints a completion script:\n"
	"  bash   paddock completion bash > ~/.local/share/bash-completion/completions/paddock\n"
	"  zsh    paddock completion zsh > a directory of $fpath, as _paddock\n"
	"  fish   paddock completion fish > ~/.config/fish/completions/paddock.fish\n";

const char help_help[] = "usage: paddock help [VERB]\n";
