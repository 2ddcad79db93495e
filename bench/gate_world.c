/* gate_world.c - what bench/gate measures against and through
 *
 * Certificates made for the run, two nginx processes (the upstream, and a reverse proxy before it),
 * and the gate: the real inspector and courier, confined, with a keeper in a thread of ours that
 * signs what it is asked to.
 */
#include "gate_world.h"

#include "base/buf.h"
#include "credential/keeper.h"
#include "tls/mint.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#undef ERR_STATE

#define HOST GATE_HOST

static const char policy[] = "version: 1\\nnetwork:\\n  - {hosts: [" HOST "], methods: [GET]}\\n";

static char directory[] = "/tmp/gate-bench-XXXXXX";
static char program_directory[4096];	/* bench, in the build directory that has the programs */
static pid_t children[8];
static unsigned child_count;

static void path_in(char *out, size_t n, const char *name) { (void)snprintf(out, n, "%s/%s", directory, name); }

static FILE *create(const char *name)
{
	char path[256];

	path_in(path, sizeof path, name);
	FILE *f = fopen(path, "we");

	if (!f)
		err(1, "%s", path);
	return f;
}

static X509 *certificate(EVP_PKEY *key, EVP_PKEY *by, X509 *issuer, int nid, const char *value)
{
	X509 *x = X509_new();
	X509V3_CTX ctx;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), issuer ? 2 : 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
				   (const unsigned char *)(issuer ? "bench" : "bench CA"), -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x));
	X509V3_set_ctx(&ctx, issuer ? issuer : x, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);

	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	if (!X509_sign(x, by, EVP_sha256()))
		errx(1, "a certificate cannot be signed");
	return x;
}

static void make_certificates(void)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	X509 *ca = certificate(ca_key, ca_key, NULL, NID_basic_constraints, "critical,CA:TRUE");
	X509 *leaf = certificate(key, ca_key, ca, NID_subject_alt_name, "DNS:" HOST);
	FILE *f = create("ca.pem");

	PEM_write_X509(f, ca);
	(void)fclose(f);
	f = create("leaf.pem");
	PEM_write_X509(f, leaf);
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	(void)fclose(f);
	X509_free(ca);
	X509_free(leaf);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
}

static uint16_t free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, n) || getsockname(fd, (struct sockaddr *)&at, &n))
		err(1, "no port");
	close(fd);
	return ntohs(at.sin_port);
}

static void start_nginx(const char *name, uint16_t port, uint16_t upstream)
{
	char path[256];
	FILE *f = create(name);

	(void)fprintf(f, "daemon off; master_process off; pid %s/%s.pid; error_log %s/%s.log;\n"
		"events { worker_connections 1024; }\nhttp { access_log off; keepalive_requests 100000000;\n",
		directory, name, directory, name);
	for (const char *const *temp = (const char *const[]){ "client_body", "proxy", "fastcgi", "uwsgi", "scgi",
		     NULL }; *temp; temp++)
		(void)fprintf(f, "%s_temp_path %s/%s;\n", *temp, directory, *temp);
	if (upstream)
		(void)fprintf(f, "upstream back { server 127.0.0.1:%u; keepalive 64; "
			      "keepalive_requests 100000000; }\n", upstream);
	(void)fprintf(f, "server { listen 127.0.0.1:%u ssl; ssl_certificate %s/leaf.pem; "
		"ssl_certificate_key %s/leaf.pem;\n", port, directory, directory);
	if (upstream)
		(void)fprintf(f, "location / { proxy_pass https://back; proxy_http_version 1.1; "
			"proxy_set_header Connection \"\"; proxy_ssl_verify on; proxy_ssl_server_name on; "
			"proxy_ssl_name " HOST "; proxy_ssl_trusted_certificate %s/ca.pem; } } }\n", directory);
	else
		(void)fprintf(f, "location / { return 200 \"hello, world\\n\"; } } }\n");
	(void)fclose(f);
	path_in(path, sizeof path, name);
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("nginx", "nginx", "-c", path, "-p", directory, (char *)NULL);
		err(127, "nginx");
	}
	children[child_count++] = pid;
}

static struct {
	int fd;
	EVP_PKEY *key;
	struct mint *mint;
} keeper;

static void *keeper_serve(void *arg)
{
	static struct keeper_reply reply;
	struct keeper_request q;

	(void)arg;
	while (recv(keeper.fd, &q, sizeof q, 0) == (ssize_t)sizeof q) {
		size_t n = sizeof reply.data;
		auto_buf der = BUF_EMPTY;

		buf_init(&der, KEEPER_DATA_MAX);
		reply.result = ERR_OK;
		if (q.op == KEEPER_SIGN) {
			EVP_MD_CTX *ctx = EVP_MD_CTX_new();

			EVP_DigestSignInit(ctx, NULL, NULL, NULL, keeper.key);
			EVP_DigestSign(ctx, reply.data, &n, (const unsigned char *)q.text, q.text_bytes);
			EVP_MD_CTX_free(ctx);
		} else {
			reply.result = mint_leaf(keeper.mint, str_make(q.text, q.text_bytes), q.point, &der);
			n = der.len;
			if (n)
				memcpy(reply.data, der.p, n);
		}
		reply.data_bytes = (uint32_t)n;
		reply.sequence = q.sequence;
		(void)send(keeper.fd, &reply, KEEPER_REPLY_HEAD + n, MSG_NOSIGNAL);
	}
	return NULL;
}

static void put_file(struct buf *b, const char *name)
{
	char path[256], text[4096];

	path_in(path, sizeof path, name);
	FILE *f = fopen(path, "re");

	while (f && fgets(text, sizeof text, f)) {
		text[strcspn(text, "\n")] = '\0';
		buf_printf(b, "%s\\n", text);
	}
	if (f)
		(void)fclose(f);
}

static int courier_config(uint16_t port)
{
	uint8_t public_key[32];
	size_t n = sizeof public_key;
	int fd = memfd_create("config", MFD_CLOEXEC);
	auto_buf b = BUF_EMPTY;

	EVP_PKEY_get_raw_public_key(keeper.key, public_key, &n);
	buf_init(&b, 1 << 16);
	buf_printf(&b, "{\"version\":1,\"sandbox\":\"bench\",\"policy\":\"%s\",\"policy_file\":\"bench\","
		   "\"key_name\":\"bench\",\"public_key\":\"", policy);
	buf_put_hex(&b, str_make(public_key, n));
	buf_printf(&b, "\",\"resolve\":[{\"host\":\"" HOST "\",\"port\":443,\"address\":\"127.0.0.1\","
		   "\"to_port\":%u}],\"upstream_ca\":\"", port);
	put_file(&b, "ca.pem");
	buf_put_z(&b, "\"}");
	if (fd < 0 || buf_err(&b) != ERR_OK || write(fd, b.p, b.len) != (ssize_t)b.len || lseek(fd, 0, SEEK_SET))
		err(1, "configuration");
	return fd;
}

static void start(const char *program, const int *fds, int count)
{
	char path[8192];
	char *const argv[] = { path, NULL }, *const env[] = { NULL };

	(void)snprintf(path, sizeof path, "%s/../%s", program_directory, program);
	pid_t pid = fork();

	if (pid == 0) {
		for (int i = 0; i < count; i++)
			if (fds[i] >= 0)
				dup2(fds[i], 100 + i);
		for (int i = 0; i < count; i++)
			if (fds[i] < 0 || dup2(100 + i, 3 + i) < 0)
				close(3 + i);
		close_range(3 + (unsigned)count, ~0u, 0);
		execve(path, argv, env);
		err(127, "%s", path);
	}
	children[child_count++] = pid;
}

int gate_start(uint16_t upstream)
{
	int net[2], inner[2], keep[2], trail;
	char path[256];
	pthread_t thread;

	path_in(path, sizeof path, "trail");
	if (mkdir(path, 0700) || (trail = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, net) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, inner) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, keep))
		err(1, "descriptors");
	keeper.fd = keep[0];
	keeper.key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (mint_new(STR("bench"), (uint64_t)time(NULL), 1, &keeper.mint) != ERR_OK)
		errx(1, "no certificate authority");
	pthread_create(&thread, NULL, keeper_serve, NULL);
	const int config = courier_config(upstream);

	start("paddock-courier", (const int[]){ inner[1], keep[1], -1, -1, -1, trail, config }, 7);
	start("paddock-inspector", (const int[]){ net[1], inner[0] }, 2);
	close(net[1]);
	close(inner[0]);
	close(inner[1]);
	close(keep[1]);
	close(config);
	return net[0];
}

static void clean(void)
{
	for (unsigned i = 0; i < child_count; i++)
		kill(children[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", directory, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

void gate_world_start(uint16_t *ret_upstream, uint16_t *ret_proxy)
{
	ssize_t n = readlink("/proc/self/exe", program_directory, sizeof program_directory - 1);
	char *slash = n > 0 ? memrchr(program_directory, '/', (size_t)n) : NULL;

	if (!slash || !mkdtemp(directory))
		err(1, "where am I");
	*slash = '\0';
	(void)atexit(clean);
	(void)signal(SIGPIPE, SIG_IGN);
	make_certificates();
	*ret_upstream = free_port();
	*ret_proxy = free_port();
	start_nginx("upstream.conf", *ret_upstream, 0);
	start_nginx("proxy.conf", *ret_proxy, *ret_upstream);
}
