import EventLoop
import Glibc
import Service

/// Master keys, and where they came from.
struct MasterKeySource {
  let keys: [MasterKey]
  /// Nil for the environment, which does not change.
  let path: String?

  /// - Parameter reader: where the file is read again.
  func ring(on reader: EventLoop) -> MasterKeyRing {
    guard let path else { return MasterKeyRing(keys) }
    return MasterKeyRing(keys) { try await withTaskExecutorPreference(reader) { try MasterKeyFile.read(path) } }
  }
}

/// Where the master key comes from: a file, the environment, or beside the private cluster. While it is being changed a
/// file has two lines, the one to come behind the one in force.
enum MasterKeyFile {
  private static let bytesMax = 4_096
  /// Beside the private cluster.
  static let name = "master.key"

  /// - Throws: when there is no such key, or others may read it.
  static func read(_ path: String) throws -> [MasterKey] {
    guard let keys = MasterKey.list(try text(of: path)) else {
      throw CommandFailure(
        "\(path) must hold \(MasterKey.bytesCount) bytes in Base64: openssl rand -base64 32 makes some")
    }
    return keys
  }

  private static func text(of path: String) throws -> String {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw CommandFailure("cannot read the master key: \(path): \(String(cString: strerror(errno)))")
    }
    guard status.st_mode & 0o077 == 0 else {
      throw CommandFailure("\(path) holds the master key and others may use it: chmod 600 \(path)")
    }
    return String(decoding: try readFile(path, bytesMax: bytesMax), as: UTF8.self)
  }

  /// The key of a private cluster, made when there is none yet.
  static func readOrMake(_ path: String) throws -> [MasterKey] {
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

  // MARK: - Changing a private cluster's

  /// Puts a fresh key behind the one in force, unless one was put there before and never came into force.
  static func addSuccessor(in path: String) throws {
    let text = try text(of: path)
    guard try read(path).count == 1 else { return }
    try replace(path, by: [text.trimmedLine, MasterKey.generate()])
  }

  /// Leaves the last key alone in the file, and each of the others in one of its own: backups of before need them.
  /// - Returns: the files of the others.
  static func retireFormer(in path: String) throws -> [String] {
    let lines = try text(of: path).split { $0.isWhitespace || $0 == "," }.map(String.init)
    let keys = try read(path)
    var retired: [String] = []
    for (line, key) in zip(lines, keys).dropLast() {
      let former = "\(path).\(key.name)"
      try replace(former, by: [line])
      retired.append(former)
    }
    if !retired.isEmpty { try replace(path, by: [lines[lines.count - 1]]) }
    return retired
  }

  /// All at once: who reads the file gets what it held before, or what it holds now.
  private static func replace(_ path: String, by lines: [String]) throws {
    let draft = "\(path).\(getpid())"
    try write(lines.map { $0 + "\n" }.joined(), to: draft)
    guard rename(draft, path) == 0 else {
      unlink(draft)
      throw CommandFailure("cannot replace \(path): \(String(cString: strerror(errno)))")
    }
    // The name is on the disk, too, before anything is wrapped under what it stands for.
    let directory = open(path.prefix(through: path.lastIndex(of: "/")!) + ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw CommandFailure("cannot open the directory of \(path)") }
    defer { close(directory) }
    guard fsync(directory) == 0 else { throw CommandFailure("cannot write the directory of \(path)") }
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

extension String {
  fileprivate var trimmedLine: String { String(split(whereSeparator: \.isWhitespace).first ?? "") }
}
