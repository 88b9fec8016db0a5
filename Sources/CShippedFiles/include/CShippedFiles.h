// Files of the repository that the program carries inside itself, so that one binary is the whole installation.
#pragma once
#include <stddef.h>

typedef struct {
  const char *_Nonnull name;
  const unsigned char *_Nonnull bytes;
  size_t length;
} ShippedFile;

/// The file at `index`, counted from 0 in the order of the list in CShippedFiles.c; `length` is 0 past the end.
ShippedFile shipped_file(size_t index);
