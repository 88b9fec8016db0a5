import CPublicSuffix
import Glibc

/// The Public Suffix List: names under which anyone can register, so that no provider may claim one whole.
enum PublicSuffixes {
  /// The list installed with the system when it is newer than the one built into libpsl.
  /// Immutable once loaded; libpsl documents look-ups as safe from several threads.
  nonisolated(unsafe) private static let list: OpaquePointer? = psl_latest(nil) ?? psl_builtin()

  /// Whether `host` itself is a public suffix: ICANN (`com`, `co.uk`), private (`vercel.app`), or an unknown top level.
  static func contains(_ host: Host) -> Bool {
    !host.isAddress && psl_is_public_suffix2(list, host.text, PSL_TYPE_ANY) == 1
  }

  /// Whether whoever holds `parent`, one of the names above `host`, holds `host` too: both are within one registrable
  /// domain. Under a private suffix nobody is taken to: its customers come and go by the host.
  static func isHeld(_ host: Host, byHolderOf parent: Substring) -> Bool {
    guard !host.isAddress else { return false }
    return host.text.withCString { name in
      guard let suffix = psl_unregistrable_domain(list, name), let registrable = psl_registrable_domain(list, name),
        psl_is_public_suffix2(list, suffix, PSL_TYPE_PRIVATE | PSL_TYPE_NO_STAR_RULE) == 0
      else { return false }
      return parent.utf8.count >= strlen(registrable)
    }
  }
}
