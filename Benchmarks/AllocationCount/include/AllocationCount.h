#pragma once
#include <stdint.h>

/// How often memory was asked for since the program began, by whatever code of whatever library.
uint64_t allocation_count(void);
