/* msg.h - the small messages in OPEN and HEAD payloads: fields, and the structs made of them
 *
 * A message is a sequence of fields: u8 tag, u8 zero, u16 length (little-endian), bytes.
 * Tags never fall (equal ones repeat a list). Integers are little-endian, of exactly the
 * size in the table. An unknown tag is an error: both ends come from one build.
 */
#pragma once

#include "base/buf.h"
#include "base/reader.h"

#define MSG_FIELD_MAX 65535

/*     tag                  number  value */
#define MSG_TAG_TABLE(X) \
	X(MSG_CLAIM_KIND,        1) /* u8 enum claim_kind */ \
	X(MSG_RESULT,            2) /* u16 enum err */ \
	X(MSG_ERRNO,             3) /* u32 */ \
	X(MSG_TEXT,              4) /* UTF-8 for people, <= 512 */ \
	X(MSG_ADDRESS,           5) /* 4 or 16 bytes, network order */ \
	X(MSG_PORT,              6) /* u16 */ \
	X(MSG_HOST,              7) /* canonical host */ \
	X(MSG_SCHEME,            8) /* u8 enum head_scheme */ \
	X(MSG_QUERY_TYPE,        9) /* u16 DNS type */ \
	X(MSG_CONNECTION,       10) /* u64 the inspector's number of the guest connection */ \
	X(MSG_PID,              16) /* u32 of the asking process in the guest */ \
	X(MSG_UID,              17) /* u32 */ \
	X(MSG_EXE,              18) /* path, <= 4096 */ \
	X(MSG_ANCESTOR,         19) /* list, nearest first: exe paths, <= 8 */ \
	X(MSG_VERDICT,          24) /* u8: 0 no, 1 yes */ \
	X(MSG_PUBLIC_KEY,       25) /* uncompressed P-256 point, 65 bytes */ \
	X(MSG_CERTIFICATE,      26) /* DER, <= 2048 */ \
	X(MSG_REQUEST_ID,       27) /* text */ \
	X(MSG_HOSTNAME,         32) /* guest's host name */ \
	X(MSG_CA_PEM,           33) /* the sandbox CA, PEM */ \
	X(MSG_TIME,             34) /* u64 CLOCK_REALTIME, ns */ \
	X(MSG_SEED,             35) /* 32..64 bytes of entropy */ \
	X(MSG_MOUNT,            36) /* list: u8 flags (MSG_MOUNT_*), then the path in the guest; the n-th
				       (from 0) is the entry named in decimal n of the FUSE root */ \
	X(MSG_PROCESSES_MAX,    37) /* u32 */ \
	X(MSG_MEMORY_MAX,       38) /* u64 bytes for the agent; 0: no cap of its own */ \
	X(MSG_FILE,             39) /* list: u16 length of the path, the absolute path in the guest, then what
				       the file holds: made with mode 0600, the agent's */ \
	X(MSG_ARGUMENT,         48) /* list: argv */ \
	X(MSG_ENVIRONMENT,      49) /* list: NAME=VALUE */ \
	X(MSG_DIRECTORY,        50) /* cwd */ \
	X(MSG_TERMINAL,         51) /* u16 rows, u16 columns: a pty is wanted */ \
	X(MSG_USER_ID,          52) /* u32 uid and gid that the agent sees as its own outside of root; 0: root */ \
	X(MSG_INPUT_END,        55) /* nothing: standard input is at its end (the stream stays, for signals) */ \
	X(MSG_SIGNAL,           56) /* u8: deliver to the command's foreground group */ \
	X(MSG_RESIZE,           57) /* u16 rows, u16 columns */ \
	X(MSG_STARTED,          58) /* u32 pid: the command's first instruction is next */ \
	X(MSG_EXIT_CODE,        59) /* u8 */ \
	X(MSG_EXIT_SIGNAL,      60) /* u8 */ \
	X(MSG_BYTES_IN,         64) /* u64 */ \
	X(MSG_BYTES_OUT,        65) /* u64 */ \
	X(MSG_PATH,             66) /* a file's path, bytes, <= 4096 */ \
	X(MSG_TOKEN,            69) /* <= 512 bytes: a proxy client's */ \
	X(MSG_TUNNEL,           70) /* u8 enum msg_tunnel: how a name, or a connection to it, passes */ \
	X(MSG_PROTOCOL,         71) /* ALPN's name of what was spoken, <= 16 */

enum msg_tag {
#define MSG_TAG_ENUM(name, number) name = (number),
	MSG_TAG_TABLE(MSG_TAG_ENUM)
#undef MSG_TAG_ENUM
};

#define MSG_MOUNT_READ_ONLY 0x01
#define MSG_MOUNT_FILE 0x02	/* a single file, not a directory */

void msg_put(struct buf *b, enum msg_tag tag, struct str value);	/* fails b on > MSG_FIELD_MAX */
void msg_put_u8(struct buf *b, enum msg_tag tag, uint8_t v);
void msg_put_u16(struct buf *b, enum msg_tag tag, uint16_t v);
void msg_put_u32(struct buf *b, enum msg_tag tag, uint32_t v);
void msg_put_u64(struct buf *b, enum msg_tag tag, uint64_t v);

struct msg_field {
	enum msg_tag tag;
	struct str value;
};
/** msg_next() - the next field; *@last_tag (0 at first) enforces the order
 * Return: ERR_OK; ERR_MORE at the end; ERR_LINK_MALFORMED */
must_use enum err msg_next(struct reader *r, uint8_t *last_tag, struct msg_field *ret);
must_use bool msg_u8(struct str v, uint8_t *ret);
must_use bool msg_u16(struct str v, uint16_t *ret);
must_use bool msg_u32(struct str v, uint32_t *ret);
must_use bool msg_u64(struct str v, uint64_t *ret);

/** struct msg_process - who asks, by the guest's word (a claim, never authority) */
#define MSG_ANCESTORS_MAX 8
struct msg_process {
	uint32_t pid, uid;	/* 0, 0 and exe.n == 0: not known */
	struct str exe;
	uint32_t ancestor_count;
	struct str ancestors[MSG_ANCESTORS_MAX];
};

/** struct msg_connect - OPEN of TCP (address, port), DNS, EXCHANGE, NAME, LEAF: fields that a
 *  kind does not use are zero/empty */
struct msg_connect {
	struct str address;	/* 0, 4 or 16 bytes */
	uint16_t port;
	struct str host;	/* NAME, LEAF, EXCHANGE: the name that DNS gave (or the literal) */
	uint8_t scheme;
	uint16_t query_type;
	uint64_t connection;
	struct msg_process process;
	struct str public_key;	/* LEAF */
	struct str token;	/* NAME, EXCHANGE, TUNNEL of a proxy's client:
				   who it says it is; the courier knows */
};
void msg_put_connect(struct buf *b, const struct msg_connect *m);
must_use enum err msg_get_connect(struct str payload, struct msg_connect *ret);

/** claims: what a process other than the courier saw; recorded under that process's name */
enum claim_kind {
	CLAIM_DNS = 1,		/* host, query_type, verdict, process */
	CLAIM_CONNECTION,	/* address, port, host if known, process: a guest connection begins */
	CLAIM_CONNECTION_END,	/* connection, bytes, result, protocol */
	CLAIM_REFUSED,		/* result, text: refused before a canonical request existed */
	CLAIM_EXEC,		/* path, process */
	CLAIM_EXIT,		/* exit code or signal */
	CLAIM_FILE,		/* path, text: a file rule fired */
	CLAIM_START,		/* supervisor: text, a short description */
	CLAIM_STOP,		/* supervisor: text, result */
	CLAIM_TERMINAL,		/* terminal: text (a filtered sequence, a size) */
	CLAIM_LIMIT,		/* a limit was reached: text */
};
struct msg_claim {
	enum claim_kind kind;
	enum err result;
	bool has_verdict, verdict, has_exit_code, has_exit_signal;
	uint8_t exit_code, exit_signal;
	struct str text, address, host, path, protocol;
	uint16_t port, query_type;
	uint64_t connection, bytes_in, bytes_out;
	struct msg_process process;
};
void msg_put_claim(struct buf *b, const struct msg_claim *m);
must_use enum err msg_get_claim(struct str payload, struct msg_claim *ret);

/** struct msg_config - boot configuration of the guest */
#define MSG_MOUNTS_MAX 64
struct msg_mount { uint8_t flags; struct str path; };
#define MSG_FILES_MAX 64
struct msg_file { struct str path, text; };
struct msg_config {
	struct str hostname, ca_pem, seed;
	uint64_t time_ns, memory_max;
	uint32_t processes_max;
	uint32_t mount_count;
	struct msg_mount mounts[MSG_MOUNTS_MAX];
	uint32_t file_count;
	struct msg_file files[MSG_FILES_MAX];
};
void msg_put_config(struct buf *b, const struct msg_config *m);
must_use enum err msg_get_config(struct str payload, struct msg_config *ret);

/** struct msg_exec - the command. argv and environment are walked with msg_next(). */
#define MSG_ARGUMENTS_MAX 1024
struct msg_exec {
	uint32_t argument_count, environment_count;
	struct str arguments[MSG_ARGUMENTS_MAX], environment[MSG_ARGUMENTS_MAX];
	struct str directory;
	bool terminal;
	uint16_t rows, columns;
	uint32_t user_id;
};
void msg_put_exec(struct buf *b, const struct msg_exec *m);
must_use enum err msg_get_exec(struct str payload, struct msg_exec *ret);

/* NAME without a port: TUNNEL tells whether any port of the name might pass unopened (OPENED: none does);
 * with a port: how this connection passes */
enum msg_tunnel { MSG_TUNNEL_OPENED, MSG_TUNNEL_TLS, MSG_TUNNEL_TCP };

/** struct msg_status - HEADs on EXEC, CONFIG, NAME and LEAF after the first: exactly the
 *  members that are marked are sent */
struct msg_status {
	bool has_result, has_verdict, has_input_end, has_signal, has_resize;
	bool has_started, has_exit_code, has_exit_signal, has_tunnel;
	enum err result;
	uint32_t error_number;
	struct str text, certificate, request_id;
	uint8_t signal, exit_code, exit_signal, tunnel;
	bool verdict;
	uint16_t rows, columns;
	uint32_t pid;
};
void msg_put_status(struct buf *b, const struct msg_status *m);
must_use enum err msg_get_status(struct str payload, struct msg_status *ret);
