// `#embed` is C23; clang offers it in every mode.
#pragma clang diagnostic ignored "-Wc23-extensions"

#include "CShippedFiles.h"

static const unsigned char registry_sql[] = {
#embed "../../migrations/0001_registry.sql"
};

static const ShippedFile files[] = {
    {"migrations/0001_registry.sql", registry_sql, sizeof registry_sql},
};

ShippedFile shipped_file(size_t index) {
  if (index < sizeof files / sizeof files[0]) return files[index];
  return (ShippedFile){"", (const unsigned char *)"", 0};
}
