/* keeper.c - texts of several fields, as courier and keeper pass them; see keeper.h */
#include "credential/keeper.h"

const char *keeper_use_name(enum keeper_use use)
{
	static const char *const names[KEEPER_USES] = {
		"secret", "refresh", "sigv4", "jwt", "claude", "codex", "certificate",
	};

	return (unsigned)use < KEEPER_USES ? names[use] : "";
}

bool keeper_fields(struct str text, struct str *ret, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t n = str_find(text, 0);

		if (n == text.n)
			return false;
		ret[i] = str_head(text, n);
		text = str_from(text, n + 1);
	}
	return text.n == 0;
}

void keeper_put_field(struct buf *b, struct str field)
{
	if (str_find(field, 0) != field.n) {
		b->err = b->err ? b->err : ERR_INPUT;
		return;
	}
	buf_put(b, field);
	buf_put_byte(b, 0);
}

#define LOGIN_FIELDS 7

bool keeper_login_fields(struct str text, struct keeper_login *ret)
{
	struct str f[LOGIN_FIELDS];

	if (!keeper_fields(text, f, LOGIN_FIELDS))
		return false;
	*ret = (struct keeper_login){
		.access = f[0], .refresh = f[1], .id_token = f[2], .expires_ms = f[3], .account_id = f[4],
		.scopes = f[5], .subscription = f[6],
	};
	return true;
}

void keeper_put_login(struct buf *b, const struct keeper_login *login)
{
	keeper_put_field(b, login->access);
	keeper_put_field(b, login->refresh);
	keeper_put_field(b, login->id_token);
	keeper_put_field(b, login->expires_ms);
	keeper_put_field(b, login->account_id);
	keeper_put_field(b, login->scopes);
	keeper_put_field(b, login->subscription);
}
