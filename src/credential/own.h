/* own.h - what requests carry credentials in; for attach.c and own.c */
#pragma once

#include "base/buf.h"

#define OWN_BASIC_MAX 8192	/* of one Basic value, decoded */

/** own_same_name() - are two names of fields one for a service that makes variables of them (CGI, WSGI: '_' is
 *  as '-' there)? */
bool own_same_name(struct str a, struct str b);
/** own_usual_field() - do services commonly take a credential from the field of that (lower-case) name? */
bool own_usual_field(struct str name);
/** own_means() - is @encoded, its percent-encoding undone, @name (lower case), in letters of any case? */
bool own_means(struct str encoded, const char *name);
/** own_bare() - a credential without the scheme before it: "Bearer x" is x; the value itself without one */
struct str own_bare(struct str value);
/** own_basic() - "Basic base64(user:password)", decoded into @storage; false if it is not that, strictly */
bool own_basic(struct str value, struct buf *storage, struct str *ret_user, struct str *ret_password);
