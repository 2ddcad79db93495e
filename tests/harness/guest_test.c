/* guest_test.c - one conformance suite for a guest, whatever the machine
 *
 * Usage: guest_test namespace|qemu [IMAGE] (else $PADDOCK_TEST_IMAGE). The test is the host: it answers DNS,
 * takes the agent's connections and commands programs inside. What the agent must not be able to do is tried
 * from inside, as its root.
 */
#include "harness/namespace.h"
#include "harness/peer.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 240000	/* emulation, on a busy machine */

static struct peer peer;
static struct peer_run run;

static struct {
	uint32_t tcp_opens, dns_opens, claims_exec, claims_exit;
	char destination[80], exe[512], ancestor[512];
	uint32_t uid;
	bool silent;			/* take connections and never answer */
	bool refuse;			/* reset connections */
} seen;

/* An answer to @query: its question, one A record 198.18.0.5 (AAAA: none). */
static void answer_dns(uint32_t stream, struct str query)
{
	static const uint8_t record[16] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 18, 0, 5 };
	struct link *l = peer.link[MACHINE_NET];
	size_t end = 12;
	uint8_t text[600];
	bool a;

	assert_true(query.n >= 17 && query.n < 512);
	while (query.p[end])
		end += (size_t)(uint8_t)query.p[end] + 1;
	end += 5;
	a = query.p[end - 3] == 1;
	memcpy(text, query.p, end);
	text[2] = 0x81;
	text[3] = 0x80;
	text[7] = a;		/* answers; no authority, no additional */
	text[8] = text[9] = text[10] = text[11] = 0;
	if (a)
		memcpy(text + end, record, sizeof record);
	assert_int_equal(link_data(l, stream, 0, str_make(text, end + (a ? sizeof record : 0))), ERR_OK);
	link_end(l, stream);
}

static void net_open(const struct link_frame *f)
{
	struct msg_connect m;
	char address[64] = "?";

	assert_int_equal(msg_get_connect(f->payload, &m), ERR_OK);
	if (f->kind == LINK_KIND_DNS) {
		seen.dns_opens++;
		return;
	}
	assert_int_equal(f->kind, LINK_KIND_TCP);
	seen.tcp_opens++;
	inet_ntop(m.address.n == 4 ? AF_INET : AF_INET6, m.address.p, address, sizeof address);
	snprintf(seen.destination, sizeof seen.destination, "%s %u", address, m.port);
	snprintf(seen.exe, sizeof seen.exe, "%.*s", (int)(m.process.exe.n < 500 ? m.process.exe.n : 500),
		 m.process.exe.n ? m.process.exe.p : "");
	if (m.process.ancestor_count)
		snprintf(seen.ancestor, sizeof seen.ancestor, "%.*s", STR_FMT(m.process.ancestors[0]));
	seen.uid = m.process.uid;
	link_set_user(peer.link[MACHINE_NET], f->stream, &seen);
	if (seen.refuse)
		link_reset(peer.link[MACHINE_NET], f->stream, ERR_POLICY_DENIED);
}

static void net_frame(const struct link_frame *f)
{
	struct link *l = peer.link[MACHINE_NET];
	bool tcp = link_user(l, f->stream) != NULL;

	if (f->type == LINK_OPEN)
		net_open(f);
	else if (f->type == LINK_DATA && !tcp)
		answer_dns(f->stream, f->payload);
	else if (f->type == LINK_DATA && !seen.silent && link_sendable(l, f->stream) >= f->payload.n)
		assert_int_equal(link_data(l, f->stream, 0, f->payload), ERR_OK);	/* an echo */
	else if (f->type == LINK_END && tcp)
		link_end(l, f->stream);
}

static void frame(struct peer *p, enum machine_port port, const struct link_frame *f)
{
	struct msg_claim c;

	if (port == MACHINE_NET) {
		net_frame(f);
	} else if (port == MACHINE_CONTROL && !peer_exec_frame(p, &run, port, f) && f->type == LINK_HEAD &&
		   (f->stream & 1) && !msg_get_claim(f->payload, &c)) {
		seen.claims_exec += c.kind == CLAIM_EXEC;
		seen.claims_exit += c.kind == CLAIM_EXIT;
	}
}

static const char *text_of(struct buf *b)
{
	static char text[65536];

	snprintf(text, sizeof text, "%.*s", (int)(b->len < 60000 ? b->len : 60000), b->len ? b->p : "");
	return text;
}

static void command(const char *const *argv, bool terminal, const char *input)
{
	buf_free(&run.out);
	buf_free(&run.err);
	assert_true(peer_exec(&peer, &run, argv, NULL, terminal, input));
	assert_true(peer_until(&peer, &run.over, WAIT_MS));
}

static void shell(const char *script)
{
	const char *const argv[] = { "bash", "-c", script, NULL };

	command(argv, false, "");
}

static void expect(int code, const char *out)
{
	if (run.exit_code != code || strcmp(text_of(&run.out), out))
		print_message("stderr: %s\n", text_of(&run.err));
	assert_string_equal(text_of(&run.out), out);
	assert_int_equal(run.exit_code, code);
}

/* -- commands ------------------------------------------------------------------------- */

static void streams_and_codes(void **state)
{
	const char *const cat[] = { "cat", NULL }, *const missing[] = { "/no/such/program", NULL };
	const char *const directory[] = { "/usr", NULL };

	(void)state;
	shell("echo out; echo err >&2; exit 7");
	expect(7, "out\n");
	assert_string_equal(text_of(&run.err), "err\n");
	assert_true(run.started);
	command(cat, false, "some input");
	expect(0, "some input");
	command(missing, false, NULL);
	assert_int_equal(run.error_number, 2);
	assert_false(run.started);
	command(directory, false, NULL);
	assert_int_equal(run.error_number, 13);
	shell("kill -TERM $$");
	assert_int_equal(run.exit_signal, 15);
	assert_true(seen.claims_exec >= 2 && seen.claims_exec == seen.claims_exit);
}

static void much_output_is_whole(void **state)
{
	(void)state;
	shell("head -c 3000000 /dev/zero | tr '\\0' x");
	assert_int_equal(run.exit_code, 0);
	assert_int_equal(run.out.len, 3000000);
}

static void a_descendant_does_not_hold_the_end(void **state)
{
	uint64_t begin = clock_ms();

	(void)state;
	shell("sleep 100 & echo done");
	expect(0, "done\n");
	assert_true(clock_ms() - begin < 20000);
	shell("pkill sleep; true");
}

static void terminal(void **state)
{
	const char *const argv[] = { "bash", "-c", "tty; stty size; read x; echo got $x", NULL };

	(void)state;
	buf_free(&run.out);
	buf_free(&run.err);
	assert_true(peer_exec(&peer, &run, argv, NULL, true, NULL));
	assert_true(peer_until(&peer, &run.started, WAIT_MS));
	assert_int_equal(link_data(peer.link[MACHINE_CONTROL], run.stream, 0, STR("word\n")), ERR_OK);
	assert_true(peer_until(&peer, &run.over, WAIT_MS));
	assert_non_null(strstr(text_of(&run.out), "/dev/pts/0\r\n24 80\r\n"));
	assert_non_null(strstr(text_of(&run.out), "got word\r\n"));
	assert_int_equal(run.exit_code, 0);
}

static void a_signal_reaches_the_group(void **state)
{
	const char *const argv[] = { "sleep", "1000", NULL };
	struct msg_status m = { .has_signal = true, .signal = 15 };
	auto_buf b = BUF_EMPTY;

	(void)state;
	buf_init(&b, 256);
	msg_put_status(&b, &m);
	buf_free(&run.out);
	buf_free(&run.err);
	assert_true(peer_exec(&peer, &run, argv, NULL, false, NULL));
	assert_true(peer_until(&peer, &run.started, WAIT_MS));
	assert_int_equal(link_head(peer.link[MACHINE_CONTROL], run.stream, buf_str(&b)), ERR_OK);
	assert_true(peer_until(&peer, &run.over, WAIT_MS));
	assert_int_equal(run.exit_signal, 15);
}

static void trust_and_names(void **state)
{
	(void)state;
	shell("cat /etc/resolv.conf | head -1; hostname; cat $NODE_EXTRA_CA_CERTS; "
	      "tail -1 /etc/ssl/certs/ca-certificates.crt; tail -1 $SSL_CERT_FILE; id -u; cat /proc/1/comm");
	expect(0, "nameserver 127.0.0.1\nguest\nTHE CA\nTHE CA\nTHE CA\n0\npaddock-keeper\n");
}

static void credential_files_are_the_agents(void **state)
{
	(void)state;
	shell("cat /root/.deep/er/netrc; stat -c '%a %u' /root/.deep/er/netrc /root/.other; echo more >> "
	      "/root/.other; "
	      "cat /root/.other");
	expect(0, "machine x\n600 0\n600 0\nmore\n");
}

/* -- network ---------------------------------------------------------------------------- */

static void tcp_is_relayed(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof seen);
	shell("exec 3<>/dev/tcp/198.18.0.5/443; echo hello >&3; read -r x <&3; echo $x");
	expect(0, "hello\n");
	assert_string_equal(seen.destination, "198.18.0.5 443");
	assert_non_null(strstr(seen.exe, "bash"));
	assert_int_equal(seen.uid, 0);
	shell("exec 3<>/dev/tcp/2001:db8::5/80; echo six >&3; read -r x <&3; echo $x");
	expect(0, "six\n");
	assert_string_equal(seen.destination, "2001:db8::5 80");
}

static void bytes_are_whole(void **state)
{
	(void)state;
	shell("exec 3<>/dev/tcp/198.18.0.6/1; head -c 2000000 /dev/urandom >/tmp/a; cat /tmp/a >&3 & "
	      "head -c 2000000 <&3 >/tmp/b; wait; cmp /tmp/a /tmp/b && echo same");
	expect(0, "same\n");
}

static void a_refusal_is_a_reset(void **state)
{
	(void)state;
	seen.refuse = true;
	shell("exec 3<>/dev/tcp/198.18.0.5/443; read -r x <&3; echo $?");
	expect(0, "1\n");
	assert_non_null(strstr(text_of(&run.err), "reset"));
	seen.refuse = false;
}

static void dns_is_answered(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof seen);
	shell("getent ahostsv4 some.example | head -1 | cut -d' ' -f1");
	expect(0, "198.18.0.5\n");
	assert_true(seen.dns_opens >= 1);
}

static void other_udp_fails_at_once(void **state)
{
	uint64_t begin = clock_ms();

	(void)state;
	shell("echo x >/dev/udp/198.18.0.5/443 && echo sent; true");
	expect(0, "");
	assert_true(clock_ms() - begin < 10000);
}

static void loopback_is_the_agents(void **state)
{
	(void)state;
	shell("python3 -c '\nimport socket,threading\ns=socket.create_server((\"127.0.0.1\",8080))\n"
	      "threading.Thread(target=lambda:s.accept()[0].sendall(b\"own\")).start()\n"
	      "print(socket.create_connection((\"127.0.0.1\",8080)).recv(9).decode())'");
	expect(0, "own\n");
}

static void the_relay_itself_is_refused(void **state)
{
	(void)state;
	seen.tcp_opens = 0;
	shell("exec 3<>/dev/tcp/127.0.0.1/15001; read -r x <&3; echo $?");
	assert_int_equal(seen.tcp_opens, 0);
}

static void many_connections_are_bounded(void **state)
{
	(void)state;
	seen.silent = true;
	memset(&seen.tcp_opens, 0, sizeof seen.tcp_opens);
	shell("python3 -c '\nimport "
	      "socket,resource,select,time\nresource.setrlimit(resource.RLIMIT_NOFILE,(4096,4096))\n"
	      "p=select.poll(); k=[]\nfor i in range(1100):\n s=socket.socket(); s.settimeout(20)\n"
	      " s.connect((\"198.18.0.9\",9)); k.append(s); p.register(s,select.POLLIN)\n"
	      "for i in range(300):\n n=len(p.poll(100))\n if n==76: break\n time.sleep(.1)\nprint(n)'");
	expect(0, "76\n");
	assert_int_equal(seen.tcp_opens, 1024);
	seen.silent = false;
}

/* -- what must not work ------------------------------------------------------------------- */

static void forbidden(const char *script)
{
	shell(script);
	if (strstr(text_of(&run.out), "WORKED"))
		fail_msg("from inside this worked: %s", script);
}

static void nothing_of_the_guest_is_the_agents(void **state)
{
	(void)state;
	forbidden("python3 -c 'import socket;socket.socket(socket.AF_INET,socket.SOCK_RAW,1)' && echo WORKED");
	forbidden("python3 -c 'import socket;socket.socket(socket.AF_PACKET,socket.SOCK_RAW,3)' && echo "
		  "WORKED");
	forbidden("python3 -c 'import socket;socket.socket(socket.AF_INET,socket.SOCK_DGRAM,1)' && echo "
		  "WORKED");
	forbidden("/usr/sbin/nft flush ruleset && echo WORKED");
	forbidden("ip link set lo down && echo WORKED");
	forbidden("ip route flush table local && echo WORKED");
	forbidden("ls /dev/vport* /dev/vda /dev/mem /dev/kmsg /dev/fuse 2>/dev/null | grep . && echo WORKED");
	forbidden("mknod /tmp/v c 241 1 && : <>/tmp/v && echo WORKED");
	forbidden("mknod /tmp/d b 254 0 && head -c1 /tmp/d && echo WORKED");
	forbidden("umount /proc && echo WORKED");
	forbidden("umount /dev && echo WORKED");
	forbidden("cat /proc/1/mem >/dev/null && echo WORKED");
	forbidden("ls /proc/1/fd/ | grep . && echo WORKED");
	forbidden("ls /proc/1/root/ && echo WORKED");
	forbidden("echo 1 >/proc/sys/kernel/sysrq && echo WORKED");
	forbidden("echo /tmp/x >/proc/sys/kernel/core_pattern && echo WORKED");
	forbidden("echo c >/proc/sysrq-trigger && echo WORKED");
	forbidden("echo 1 >/proc/sys/net/ipv4/ip_forward && echo WORKED");
	forbidden("mount -t sysfs s /mnt && echo WORKED");
	forbidden("mount -t devtmpfs d /mnt && echo WORKED");
	forbidden("python3 -c 'import os;os.kill(-1,0)' ; kill -9 1; kill -0 1 || echo WORKED");
	forbidden("hostname other && echo WORKED");
	forbidden("date -s 2001-01-01 && echo WORKED");
	shell("echo alive");
	expect(0, "alive\n");
}

static void an_own_network_namespace_is_a_dead_end(void **state)
{
	(void)state;
	seen.tcp_opens = 0;
	shell("unshare -n bash -c 'exec 3<>/dev/tcp/198.18.0.5/443' 2>/dev/null; echo $?");
	expect(0, "1\n");
	assert_int_equal(seen.tcp_opens, 0);
}

/* -- start, stop ----------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_and_codes),
		cmocka_unit_test(much_output_is_whole),
		cmocka_unit_test(a_descendant_does_not_hold_the_end),
		cmocka_unit_test(terminal),
		cmocka_unit_test(a_signal_reaches_the_group),
		cmocka_unit_test(trust_and_names),
		cmocka_unit_test(credential_files_are_the_agents),
		cmocka_unit_test(tcp_is_relayed),
		cmocka_unit_test(bytes_are_whole),
		cmocka_unit_test(a_refusal_is_a_reset),
		cmocka_unit_test(dns_is_answered),
		cmocka_unit_test(other_udp_fails_at_once),
		cmocka_unit_test(loopback_is_the_agents),
		cmocka_unit_test(the_relay_itself_is_refused),
		cmocka_unit_test(many_connections_are_bounded),
		cmocka_unit_test(nothing_of_the_guest_is_the_agents),
		cmocka_unit_test(an_own_network_namespace_is_a_dead_end),
	};
	struct msg_config config = { .hostname = STR("guest"), .ca_pem = STR("THE CA\n"),
				     .seed = STR("0123456789abcdef0123456789abcdef"),
				     .time_ns = clock_unix_ns(),
				     .file_count = 2, .files = { { STR("/root/.deep/er/netrc"),
								   STR("machine x\n") },
								 { STR("/root/.other"), STR("") } } };
	const char *image = argc > 2 ? argv[2] : getenv("PADDOCK_TEST_IMAGE");
	const struct machine_ops *ops;
	uint64_t begin = clock_ms();
	int failed;

	machine_register(&machine_namespace);
	ops = machine_find(str_of(argc > 1 ? argv[1] : "namespace"));
	if (!ops) {
		fprintf(stderr, "no such driver\n");
		return 2;
	}
	if (ops == &machine_namespace) {
		image = "host";
	} else if (!image) {
		printf("skipped: no image (PADDOCK_TEST_IMAGE: an erofs file with bash, python3 and "
		       "coreutils)\n");
		return 77;
	}
	if (!peer_start(&peer, ops, image, STDERR_FILENO) ||
	    !peer_configure(&peer, &config, WAIT_MS))
		return 1;
	printf("ready after %llu ms\n", (unsigned long long)(clock_ms() - begin));
	peer.frame = frame;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	peer_stop(&peer);
	return failed;
}
