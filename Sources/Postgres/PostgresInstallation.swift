import Glibc

/// PostgreSQL's server programs of one major version.
struct PostgresInstallation: Equatable {
  let major: String
  let binDirectory: String

  /// All that are installed, the newest first: where Debian and the PostgreSQL project's packages for Red Hat put
  /// every major version beside the others.
  static func all() -> [PostgresInstallation] {
    var found = SystemCall.names(in: "/usr/lib/postgresql").map {
      PostgresInstallation(major: $0, binDirectory: "/usr/lib/postgresql/\($0)/bin")
    }
    found += SystemCall.names(in: "/usr").filter { $0.hasPrefix("pgsql-") }.map {
      PostgresInstallation(major: String($0.dropFirst(6)), binDirectory: "/usr/\($0)/bin")
    }
    return found.filter { $0.isComplete && Int($0.major) != nil }.sorted { Int($0.major)! > Int($1.major)! }
  }

  private var isComplete: Bool {
    ["initdb", "pg_ctl", "postgres"].allSatisfy { access("\(binDirectory)/\($0)", X_OK) == 0 }
  }

  /// The one for an existing cluster, or the newest for a new one.
  static func matching(_ cluster: String) throws(PrivateClusterError) -> PostgresInstallation {
    let all = all()
    guard let newest = all.first else { throw .notInstalled }
    guard let version = SystemCall.read("\(cluster)/PG_VERSION") else { return newest }
    let major = String(version.prefix { $0.isNumber })
    guard let match = all.first(where: { $0.major == major }) else {
      throw .otherMajorVersion(directory: cluster, found: major, installed: all.map(\.major))
    }
    return match
  }
}
