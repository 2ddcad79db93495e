/* msg.c - the small messages in OPEN and HEAD payloads; tags and members are in msg.h
 *
 * Theory of operation: each msg_get walks the fields (msg_field.c) with a case per tag that
 * the message may have; no other tag is taken. A getter works on a local and writes the
 * caller's struct at the end, when everything was right. Putters write in the order of the tags
 * and leave out what is empty.
 *
 * Trust: every byte may come from the guest. Views point into the payload. What is checked
 * here is shape (sizes, canonical hosts, absolute paths without NUL, UTF-8): whether it is
 * true is never known, and nothing here is authority.
 */
#include "wire/msg.h"
#include "wire/head.h"

#define PATH_MAX_BYTES 4096
#define TEXT_MAX_BYTES 512
#define HOSTNAME_MAX_BYTES 64
#define CERTIFICATE_MAX_BYTES 2048
#define PUBLIC_KEY_BYTES 65
#define PROTOCOL_MAX_BYTES 16
#define SEED_MIN_BYTES 32
#define SEED_MAX_BYTES 64

/* Hands every field to @take, which refuses what @m cannot have. */
static enum err walk(struct str payload, bool (*take)(const struct msg_field *f, void *m), void *m)
{
	struct reader r = reader_of(payload);
	struct msg_field f;
	uint8_t last = 0;
	enum err e;

	while (!(e = msg_next(&r, &last, &f)))
		if (!take(&f, m))
			return ERR_LINK_MALFORMED;
	return e == ERR_MORE ? ERR_OK : e;
}

/* -- shapes of values --------------------------------------------------------------- */

static bool get_view(struct str v, size_t min, size_t max, struct str *ret)
{
	if (v.n < min || v.n > max)
		return false;
	*ret = v;
	return true;
}

static bool get_path(struct str v, struct str *ret)
{
	return v.n >= 1 && str_find(v, 0) == v.n && get_view(v, 1, PATH_MAX_BYTES, ret);
}

static bool get_absolute_path(struct str v, struct str *ret)
{
	return str_starts(v, STR("/")) && get_path(v, ret);
}

static bool get_text(struct str v, struct str *ret)
{
	return str_is_utf8(v) && str_find(v, 0) == v.n && get_view(v, 1, TEXT_MAX_BYTES, ret);
}

static bool get_string(struct str v, struct str *ret)
{
	return str_find(v, 0) == v.n && get_view(v, 0, MSG_FIELD_MAX, ret);
}

static bool get_address(struct str v, struct str *ret)
{
	return (v.n == 4 || v.n == 16) && get_view(v, 4, 16, ret);
}

static bool get_host(struct str v, struct str *ret)
{
	return host_type(v) != HOST_INVALID && get_view(v, 1, HEAD_HOST_MAX, ret);
}

/* A claim may name a host that no request could: visible ASCII is enough for the record. */
static bool get_claimed_host(struct str v, struct str *ret)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] <= ' ' || v.p[i] > '~')
			return false;
	return get_view(v, 1, HEAD_HOST_MAX, ret);
}

static bool get_bool(struct str v, bool *ret)
{
	uint8_t x;

	if (!msg_u8(v, &x) || x > 1)
		return false;
	*ret = x;
	return true;
}

static bool get_err(struct str v, enum err *ret)
{
	uint16_t x;

	if (!msg_u16(v, &x) || x >= ERR_COUNT)
		return false;
	*ret = (enum err)x;
	return true;
}

static bool get_size(struct str v, uint16_t *ret_rows, uint16_t *ret_columns)
{
	struct reader r = reader_of(v);

	return v.n == 4 && reader_u16le(&r, ret_rows) && reader_u16le(&r, ret_columns);
}

static void put_size(struct buf *b, enum msg_tag tag, uint16_t rows, uint16_t columns)
{
	msg_put_u32(b, tag, (uint32_t)rows | (uint32_t)columns << 16);
}

static void put_present(struct buf *b, enum msg_tag tag, struct str value)
{
	if (value.n)
		msg_put(b, tag, value);
}

/* Texts are for people: one that is too long is cut, at a character, not refused. */
static void put_text(struct buf *b, struct str text)
{
	size_t n = text.n < TEXT_MAX_BYTES ? text.n : TEXT_MAX_BYTES;

	while (n > 0 && n < text.n && ((uint8_t)text.p[n] & 0xc0) == 0x80)
		n--;
	put_present(b, MSG_TEXT, str_head(text, n));
}

/* -- who asks ----------------------------------------------------------------------- */

static void put_process(struct buf *b, const struct msg_process *m)
{
	if (m->pid)
		msg_put_u32(b, MSG_PID, m->pid);
	if (m->uid)
		msg_put_u32(b, MSG_UID, m->uid);
	put_present(b, MSG_EXE, m->exe);
	for (uint32_t i = 0; i < m->ancestor_count; i++)
		msg_put(b, MSG_ANCESTOR, m->ancestors[i]);
}

static bool get_process(const struct msg_field *f, struct msg_process *m)
{
	if (f->tag == MSG_PID)
		return msg_u32(f->value, &m->pid);
	if (f->tag == MSG_UID)
		return msg_u32(f->value, &m->uid);
	if (f->tag == MSG_EXE)
		return get_path(f->value, &m->exe);
	return f->tag == MSG_ANCESTOR && m->ancestor_count < MSG_ANCESTORS_MAX &&
	       get_path(f->value, &m->ancestors[m->ancestor_count++]);
}

/* -- OPEN --------------------------------------------------------------------------- */

void msg_put_connect(struct buf *b, const struct msg_connect *m)
{
	put_present(b, MSG_ADDRESS, m->address);
	if (m->port)
		msg_put_u16(b, MSG_PORT, m->port);
	put_present(b, MSG_HOST, m->host);
	if (m->scheme)
		msg_put_u8(b, MSG_SCHEME, m->scheme);
	if (m->query_type)
		msg_put_u16(b, MSG_QUERY_TYPE, m->query_type);
	if (m->connection)
		msg_put_u64(b, MSG_CONNECTION, m->connection);
	put_process(b, &m->process);
	put_present(b, MSG_PUBLIC_KEY, m->public_key);
	put_present(b, MSG_TOKEN, m->token);
}

static bool get_connect_field(const struct msg_field *f, void *message)
{
	struct msg_connect *m = message;

	switch ((unsigned)f->tag) {
	case MSG_ADDRESS:
		return get_address(f->value, &m->address);
	case MSG_PORT:
		return msg_u16(f->value, &m->port);
	case MSG_HOST:
		return get_host(f->value, &m->host);
	case MSG_SCHEME:
		return msg_u8(f->value, &m->scheme) &&
		       (m->scheme == HEAD_HTTP || m->scheme == HEAD_HTTPS);
	case MSG_QUERY_TYPE:
		return msg_u16(f->value, &m->query_type);
	case MSG_CONNECTION:
		return msg_u64(f->value, &m->connection);
	case MSG_TOKEN:
		return get_view(f->value, 1, 512, &m->token);
	case MSG_PUBLIC_KEY:
		return get_view(f->value, PUBLIC_KEY_BYTES, PUBLIC_KEY_BYTES, &m->public_key);
	default:
		return get_process(f, &m->process);
	}
}

enum err msg_get_connect(struct str payload, struct msg_connect *ret)
{
	struct msg_connect m = { 0 };
	enum err e = walk(payload, get_connect_field, &m);

	if (e)
		return e;
	*ret = m;
	return ERR_OK;
}

/* -- claims ------------------------------------------------------------------------- */

void msg_put_claim(struct buf *b, const struct msg_claim *m)
{
	msg_put_u8(b, MSG_CLAIM_KIND, (uint8_t)m->kind);
	if (m->result)
		msg_put_u16(b, MSG_RESULT, (uint16_t)m->result);
	put_text(b, m->text);
	put_present(b, MSG_ADDRESS, m->address);
	if (m->port)
		msg_put_u16(b, MSG_PORT, m->port);
	put_present(b, MSG_HOST, m->host);
	if (m->query_type)
		msg_put_u16(b, MSG_QUERY_TYPE, m->query_type);
	if (m->connection)
		msg_put_u64(b, MSG_CONNECTION, m->connection);
	put_process(b, &m->process);
	if (m->has_verdict)
		msg_put_u8(b, MSG_VERDICT, m->verdict);
	if (m->has_exit_code)
		msg_put_u8(b, MSG_EXIT_CODE, m->exit_code);
	if (m->has_exit_signal)
		msg_put_u8(b, MSG_EXIT_SIGNAL, m->exit_signal);
	if (m->bytes_in)
		msg_put_u64(b, MSG_BYTES_IN, m->bytes_in);
	if (m->bytes_out)
		msg_put_u64(b, MSG_BYTES_OUT, m->bytes_out);
	put_present(b, MSG_PATH, m->path);
	put_present(b, MSG_PROTOCOL, m->protocol);
}

static bool get_claim_kind(struct str v, enum claim_kind *ret)
{
	uint8_t x;

	if (!msg_u8(v, &x) || x < CLAIM_DNS || x > CLAIM_LIMIT)
		return false;
	*ret = (enum claim_kind)x;
	return true;
}

static bool get_claim_field(const struct msg_field *f, void *message)
{
	struct msg_claim *m = message;

	switch ((unsigned)f->tag) {
	case MSG_CLAIM_KIND:
		return get_claim_kind(f->value, &m->kind);
	case MSG_RESULT:
		return get_err(f->value, &m->result);
	case MSG_TEXT:
		return get_text(f->value, &m->text);
	case MSG_ADDRESS:
		return get_address(f->value, &m->address);
	case MSG_PORT:
		return msg_u16(f->value, &m->port);
	case MSG_HOST:
		return get_claimed_host(f->value, &m->host);
	case MSG_QUERY_TYPE:
		return msg_u16(f->value, &m->query_type);
	case MSG_CONNECTION:
		return msg_u64(f->value, &m->connection);
	case MSG_VERDICT:
		return m->has_verdict = get_bool(f->value, &m->verdict);
	case MSG_EXIT_CODE:
		return m->has_exit_code = msg_u8(f->value, &m->exit_code);
	case MSG_EXIT_SIGNAL:
		return m->has_exit_signal = msg_u8(f->value, &m->exit_signal);
	case MSG_BYTES_IN:
		return msg_u64(f->value, &m->bytes_in);
	case MSG_BYTES_OUT:
		return msg_u64(f->value, &m->bytes_out);
	case MSG_PATH:
		return get_path(f->value, &m->path);
	case MSG_PROTOCOL:
		return get_view(f->value, 1, PROTOCOL_MAX_BYTES, &m->protocol);
	default:
		return get_process(f, &m->process);
	}
}

enum err msg_get_claim(struct str payload, struct msg_claim *ret)
{
	struct msg_claim m = { 0 };
	enum err e = walk(payload, get_claim_field, &m);

	if (e)
		return e;
	if (m.kind == 0)
		return ERR_LINK_MALFORMED;
	*ret = m;
	return ERR_OK;
}

/* -- CONFIG ------------------------------------------------------------------------- */

static void put_file(struct buf *b, const struct msg_file *f)
{
	auto_buf value = BUF_EMPTY;

	buf_init(&value, MSG_FIELD_MAX);
	buf_put_u16le(&value, (uint16_t)f->path.n);
	buf_put(&value, f->path);
	buf_put(&value, f->text);
	if (f->path.n > PATH_MAX_BYTES || buf_err(&value)) {
		if (!b->err)
			b->err = buf_err(&value) ? buf_err(&value) : ERR_LIMIT;
		return;
	}
	msg_put(b, MSG_FILE, buf_str(&value));
}

void msg_put_config(struct buf *b, const struct msg_config *m)
{
	put_present(b, MSG_HOSTNAME, m->hostname);
	put_present(b, MSG_CA_PEM, m->ca_pem);
	if (m->time_ns)
		msg_put_u64(b, MSG_TIME, m->time_ns);
	put_present(b, MSG_SEED, m->seed);
	for (uint32_t i = 0; i < m->mount_count; i++) {
		char value[1 + PATH_MAX_BYTES];
		struct str path = m->mounts[i].path;

		if (path.n > PATH_MAX_BYTES) {
			if (!b->err)
				b->err = ERR_LIMIT;
			return;
		}
		value[0] = (char)m->mounts[i].flags;
		if (path.n)
			memcpy(value + 1, path.p, path.n);
		msg_put(b, MSG_MOUNT, str_make(value, 1 + path.n));
	}
	if (m->processes_max)
		msg_put_u32(b, MSG_PROCESSES_MAX, m->processes_max);
	if (m->memory_max)
		msg_put_u64(b, MSG_MEMORY_MAX, m->memory_max);
	for (uint32_t i = 0; i < m->file_count; i++)
		put_file(b, &m->files[i]);
}

static bool get_hostname(struct str v, struct str *ret)
{
	return host_type(v) == HOST_NAME && get_view(v, 1, HOSTNAME_MAX_BYTES, ret);
}

static bool get_mount(struct str v, struct msg_config *m)
{
	struct reader r = reader_of(v);
	struct msg_mount *mount;

	if (m->mount_count >= MSG_MOUNTS_MAX)
		return false;
	mount = &m->mounts[m->mount_count++];
	return reader_u8(&r, &mount->flags) &&
	       (mount->flags & ~(MSG_MOUNT_READ_ONLY | MSG_MOUNT_FILE)) == 0 &&
	       get_absolute_path(reader_rest(&r), &mount->path);
}

static bool get_file(struct str v, struct msg_config *m)
{
	struct reader r = reader_of(v);
	struct msg_file *file;
	struct str path;
	uint16_t n;

	if (m->file_count >= MSG_FILES_MAX || !reader_u16le(&r, &n) || !reader_take(&r, n, &path))
		return false;
	file = &m->files[m->file_count++];
	file->text = reader_rest(&r);
	return get_absolute_path(path, &file->path);
}

static bool get_config_field(const struct msg_field *f, void *message)
{
	struct msg_config *m = message;

	switch ((unsigned)f->tag) {
	case MSG_HOSTNAME:
		return get_hostname(f->value, &m->hostname);
	case MSG_CA_PEM:
		return f->value.n && get_string(f->value, &m->ca_pem);
	case MSG_TIME:
		return msg_u64(f->value, &m->time_ns);
	case MSG_SEED:
		return get_view(f->value, SEED_MIN_BYTES, SEED_MAX_BYTES, &m->seed);
	case MSG_MOUNT:
		return get_mount(f->value, m);
	case MSG_PROCESSES_MAX:
		return msg_u32(f->value, &m->processes_max);
	case MSG_MEMORY_MAX:
		return msg_u64(f->value, &m->memory_max);
	case MSG_FILE:
		return get_file(f->value, m);
	default:
		return false;
	}
}

enum err msg_get_config(struct str payload, struct msg_config *ret)
{
	struct msg_config m = { 0 };
	enum err e = walk(payload, get_config_field, &m);

	if (e)
		return e;
	*ret = m;
	return ERR_OK;
}

/* -- EXEC --------------------------------------------------------------------------- */

void msg_put_exec(struct buf *b, const struct msg_exec *m)
{
	for (uint32_t i = 0; i < m->argument_count; i++)
		msg_put(b, MSG_ARGUMENT, m->arguments[i]);
	for (uint32_t i = 0; i < m->environment_count; i++)
		msg_put(b, MSG_ENVIRONMENT, m->environment[i]);
	put_present(b, MSG_DIRECTORY, m->directory);
	if (m->terminal)
		put_size(b, MSG_TERMINAL, m->rows, m->columns);
	if (m->user_id)
		msg_put_u32(b, MSG_USER_ID, m->user_id);
}

static bool get_environment(struct str v, struct msg_exec *m)
{
	size_t equals = str_find(v, '=');

	return m->environment_count < MSG_ARGUMENTS_MAX && equals > 0 && equals < v.n &&
	       get_string(v, &m->environment[m->environment_count++]);
}

static bool get_exec_field(const struct msg_field *f, void *message)
{
	struct msg_exec *m = message;

	switch ((unsigned)f->tag) {
	case MSG_ARGUMENT:
		return m->argument_count < MSG_ARGUMENTS_MAX &&
		       get_string(f->value, &m->arguments[m->argument_count++]);
	case MSG_ENVIRONMENT:
		return get_environment(f->value, m);
	case MSG_DIRECTORY:
		return get_absolute_path(f->value, &m->directory);
	case MSG_TERMINAL:
		return m->terminal = get_size(f->value, &m->rows, &m->columns);
	case MSG_USER_ID:
		return msg_u32(f->value, &m->user_id);
	default:
		return false;
	}
}

enum err msg_get_exec(struct str payload, struct msg_exec *ret)
{
	struct msg_exec m = { 0 };
	enum err e = walk(payload, get_exec_field, &m);

	if (e)
		return e;
	if (m.argument_count == 0 || m.arguments[0].n == 0)
		return ERR_LINK_MALFORMED;
	*ret = m;
	return ERR_OK;
}

/* -- status ------------------------------------------------------------------------- */

void msg_put_status(struct buf *b, const struct msg_status *m)
{
	if (m->has_result)
		msg_put_u16(b, MSG_RESULT, (uint16_t)m->result);
	if (m->error_number)
		msg_put_u32(b, MSG_ERRNO, m->error_number);
	put_text(b, m->text);
	if (m->has_verdict)
		msg_put_u8(b, MSG_VERDICT, m->verdict);
	put_present(b, MSG_CERTIFICATE, m->certificate);
	put_present(b, MSG_REQUEST_ID, m->request_id);
	if (m->has_input_end)
		msg_put(b, MSG_INPUT_END, (struct str){ 0 });
	if (m->has_signal)
		msg_put_u8(b, MSG_SIGNAL, m->signal);
	if (m->has_resize)
		put_size(b, MSG_RESIZE, m->rows, m->columns);
	if (m->has_started)
		msg_put_u32(b, MSG_STARTED, m->pid);
	if (m->has_exit_code)
		msg_put_u8(b, MSG_EXIT_CODE, m->exit_code);
	if (m->has_exit_signal)
		msg_put_u8(b, MSG_EXIT_SIGNAL, m->exit_signal);
	if (m->has_tunnel)
		msg_put_u8(b, MSG_TUNNEL, m->tunnel);
}

static bool get_status_field(const struct msg_field *f, void *message)
{
	struct msg_status *m = message;

	switch ((unsigned)f->tag) {
	case MSG_RESULT:
		return m->has_result = get_err(f->value, &m->result);
	case MSG_ERRNO:
		return msg_u32(f->value, &m->error_number);
	case MSG_TEXT:
		return get_text(f->value, &m->text);
	case MSG_VERDICT:
		return m->has_verdict = get_bool(f->value, &m->verdict);
	case MSG_CERTIFICATE:
		return get_view(f->value, 1, CERTIFICATE_MAX_BYTES, &m->certificate);
	case MSG_REQUEST_ID:
		return get_text(f->value, &m->request_id);
	case MSG_INPUT_END:
		return m->has_input_end = f->value.n == 0;
	case MSG_SIGNAL:
		return m->has_signal = msg_u8(f->value, &m->signal);
	case MSG_RESIZE:
		return m->has_resize = get_size(f->value, &m->rows, &m->columns);
	case MSG_STARTED:
		return m->has_started = msg_u32(f->value, &m->pid);
	case MSG_EXIT_CODE:
		return m->has_exit_code = msg_u8(f->value, &m->exit_code);
	case MSG_TUNNEL:
		return m->has_tunnel = msg_u8(f->value, &m->tunnel) && m->tunnel <= MSG_TUNNEL_TCP;
	case MSG_EXIT_SIGNAL:
		return m->has_exit_signal = msg_u8(f->value, &m->exit_signal);
	default:
		return false;
	}
}

enum err msg_get_status(struct str payload, struct msg_status *ret)
{
	struct msg_status m = { 0 };
	enum err e = walk(payload, get_status_field, &m);

	if (e)
		return e;
	*ret = m;
	return ERR_OK;
}
