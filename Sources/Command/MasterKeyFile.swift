import Glibc
import Service

/// Where the master key comes from: a file, the environment, or beside the private cluster.
enum MasterKeyFile {
  private static let bytesMax = 4_096

  /// - Throws: when there is no such key, or others may read it.
  static func read(_ path: String) throws -> MasterKey {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw CommandFailure("cannot read the master key: \(path): \(String(cString: strerror(errno)))")
    }
    guard status.st_mode & 0o077 == 0 else {
      throw CommandFailure("\(path) holds the master key and others may use it: chmod 600 \(path)")
    }
    let text = String(decoding: try readFile(path, bytesMax: bytesMax), as: UTF8.self)
    guard let key = MasterKey(base64: text) else {
      throw CommandFailure(
        "\(path) must hold \(MasterKey.bytesCount) bytes in Base64: openssl rand -base64 32 makes some")
    }
    return key
  }

  /// The key of a private cluster, made when there is none yet.
  static func readOrMake(in dataDirectory: String) throws -> MasterKey {
    let path = dataDirectory + "/master.key"
    if access(path, F_OK) == 0 { return try read(path) }
    // Written beside it and then linked, so that nobody reads half of it; who comes second takes that of the first.
    let draft = "\(path).\(getpid())"
    try write(MasterKey.generate() + "\n", to: draft)
    defer { unlink(draft) }
    guard link(draft, path) == 0 || errno == EEXIST else {
      throw CommandFailure("cannot make \(path): \(String(cString: strerror(errno)))")
    }
    return try read(path)
  }

  private static func write(_ text: String, to path: String) throws {
    unlink(path)
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw CommandFailure("cannot make \(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    // A lost key cannot be made again: it is on the disk before anything is encrypted under it.
    guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0 else {
      throw CommandFailure("cannot write \(path): \(String(cString: strerror(errno)))")
    }
  }
}
