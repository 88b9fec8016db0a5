import CShippedFiles
import Postgres

/// The files of the repository that the program carries inside itself.
enum ShippedFiles {
  /// The bytes of the file at `path` from the repository's top.
  static func bytes(_ path: String) -> [UInt8]? {
    all().first { $0.path == path }?.bytes
  }

  /// The migrations in the order of their versions: `migrations/0001_registry.sql` is version 1, `registry`.
  static var migrations: [Migration] {
    all().compactMap { file in
      guard file.path.hasPrefix("migrations/"), file.path.hasSuffix(".sql") else { return nil }
      let name = file.path.dropFirst("migrations/".count).dropLast(".sql".count)
      guard let version = Int(name.prefix(4)) else { return nil }
      return Migration(
        version: version, name: String(name.dropFirst(5)), sql: String(decoding: file.bytes, as: UTF8.self))
    }.sorted { $0.version < $1.version }
  }

  static func all() -> [(path: String, bytes: [UInt8])] {
    var files: [(String, [UInt8])] = []
    while true {
      let file = shipped_file(files.count)
      guard file.length > 0 else { return files }
      files.append((String(cString: file.name), Array(UnsafeBufferPointer(start: file.bytes, count: file.length))))
    }
  }
}
