import CPublicSuffix

/// The Public Suffix List: names under which anyone can register, so that no provider may claim one whole.
enum PublicSuffixes {
  /// The list installed with the system when it is newer than the one built into libpsl.
  /// Immutable once loaded; libpsl documents look-ups as safe from several threads.
  nonisolated(unsafe) private static let list: OpaquePointer? = psl_latest(nil) ?? psl_builtin()

  /// Whether `host` itself is a public suffix: ICANN (`com`, `co.uk`), private (`vercel.app`), or an unknown top level.
  static func contains(_ host: Host) -> Bool {
    !host.isAddress && psl_is_public_suffix2(list, host.text, PSL_TYPE_ANY) == 1
  }
}
