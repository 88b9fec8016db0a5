// What Swift cannot import of libmicrohttpd: its variadic functions. Nothing else belongs here.
#pragma once
#include <microhttpd.h>
