// `#embed` is C23; clang offers it in every mode.
#pragma clang diagnostic ignored "-Wc23-extensions"

#include "CShippedFiles.h"

static const unsigned char catalogue_checks_json[] = {
#embed "../../catalogue/checks.json"
};
static const unsigned char catalogue_rm_1_json[] = {
#embed "../../catalogue/rm-1.json"
};
static const unsigned char demo_relays_json[] = {
#embed "../../demo/relays.json"
};
static const unsigned char migrations_0001_registry_sql[] = {
#embed "../../migrations/0001_registry.sql"
};
static const unsigned char migrations_0002_evidence_sql[] = {
#embed "../../migrations/0002_evidence.sql"
};
static const unsigned char migrations_0003_decisions_sql[] = {
#embed "../../migrations/0003_decisions.sql"
};
static const unsigned char migrations_0004_idempotency_sql[] = {
#embed "../../migrations/0004_idempotency.sql"
};
static const unsigned char migrations_0005_listings_sql[] = {
#embed "../../migrations/0005_listings.sql"
};
static const unsigned char migrations_0006_methodologies_sql[] = {
#embed "../../migrations/0006_methodologies.sql"
};
static const unsigned char migrations_0007_disputes_sql[] = {
#embed "../../migrations/0007_disputes.sql"
};
static const unsigned char migrations_0008_score_events_sql[] = {
#embed "../../migrations/0008_score_events.sql"
};
static const unsigned char migrations_0009_retention_sql[] = {
#embed "../../migrations/0009_retention.sql"
};
static const unsigned char migrations_0010_quotas_sql[] = {
#embed "../../migrations/0010_quotas.sql"
};
static const unsigned char migrations_0011_decay_sql[] = {
#embed "../../migrations/0011_decay.sql"
};
static const unsigned char migrations_0012_audit_log_sql[] = {
#embed "../../migrations/0012_audit_log.sql"
};
static const unsigned char migrations_0013_key_limits_sql[] = {
#embed "../../migrations/0013_key_limits.sql"
};
static const unsigned char migrations_0014_evidence_keys_sql[] = {
#embed "../../migrations/0014_evidence_keys.sql"
};
static const unsigned char migrations_0015_signing_keys_sql[] = {
#embed "../../migrations/0015_signing_keys.sql"
};
static const unsigned char migrations_0016_signed_results_sql[] = {
#embed "../../migrations/0016_signed_results.sql"
};
static const unsigned char migrations_0017_erasure_sql[] = {
#embed "../../migrations/0017_erasure.sql"
};
static const unsigned char migrations_0018_cell_room_sql[] = {
#embed "../../migrations/0018_cell_room.sql"
};
static const unsigned char migrations_0019_changed_providers_sql[] = {
#embed "../../migrations/0019_changed_providers.sql"
};
static const unsigned char openapi_yaml[] = {
#embed "../../openapi.yaml"
};

static const ShippedFile files[] = {
    {"catalogue/checks.json", catalogue_checks_json, sizeof catalogue_checks_json},
    {"catalogue/rm-1.json", catalogue_rm_1_json, sizeof catalogue_rm_1_json},
    {"demo/relays.json", demo_relays_json, sizeof demo_relays_json},
    {"migrations/0001_registry.sql", migrations_0001_registry_sql, sizeof migrations_0001_registry_sql},
    {"migrations/0002_evidence.sql", migrations_0002_evidence_sql, sizeof migrations_0002_evidence_sql},
    {"migrations/0003_decisions.sql", migrations_0003_decisions_sql, sizeof migrations_0003_decisions_sql},
    {"migrations/0004_idempotency.sql", migrations_0004_idempotency_sql, sizeof migrations_0004_idempotency_sql},
    {"migrations/0005_listings.sql", migrations_0005_listings_sql, sizeof migrations_0005_listings_sql},
    {"migrations/0006_methodologies.sql", migrations_0006_methodologies_sql, sizeof migrations_0006_methodologies_sql},
    {"migrations/0007_disputes.sql", migrations_0007_disputes_sql, sizeof migrations_0007_disputes_sql},
    {"migrations/0008_score_events.sql", migrations_0008_score_events_sql, sizeof migrations_0008_score_events_sql},
    {"migrations/0009_retention.sql", migrations_0009_retention_sql, sizeof migrations_0009_retention_sql},
    {"migrations/0010_quotas.sql", migrations_0010_quotas_sql, sizeof migrations_0010_quotas_sql},
    {"migrations/0011_decay.sql", migrations_0011_decay_sql, sizeof migrations_0011_decay_sql},
    {"migrations/0012_audit_log.sql", migrations_0012_audit_log_sql, sizeof migrations_0012_audit_log_sql},
    {"migrations/0013_key_limits.sql", migrations_0013_key_limits_sql, sizeof migrations_0013_key_limits_sql},
    {"migrations/0014_evidence_keys.sql", migrations_0014_evidence_keys_sql, sizeof migrations_0014_evidence_keys_sql},
    {"migrations/0015_signing_keys.sql", migrations_0015_signing_keys_sql, sizeof migrations_0015_signing_keys_sql},
    {"migrations/0016_signed_results.sql", migrations_0016_signed_results_sql, sizeof migrations_0016_signed_results_sql},
    {"migrations/0017_erasure.sql", migrations_0017_erasure_sql, sizeof migrations_0017_erasure_sql},
    {"migrations/0018_cell_room.sql", migrations_0018_cell_room_sql, sizeof migrations_0018_cell_room_sql},
    {"migrations/0019_changed_providers.sql", migrations_0019_changed_providers_sql,
     sizeof migrations_0019_changed_providers_sql},
    {"openapi.yaml", openapi_yaml, sizeof openapi_yaml},
};

ShippedFile shipped_file(size_t index) {
  if (index < sizeof files / sizeof files[0]) return files[index];
  return (ShippedFile){"", (const unsigned char *)"", 0};
}
