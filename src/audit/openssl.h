/* openssl.h - OpenSSL's digests and signatures, beside our own ERR_STATE: OpenSSL has a type of
 * that name, which nobody here needs */
#pragma once

#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/evp.h>
#undef ERR_STATE
