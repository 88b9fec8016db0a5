import Glibc

/// Batches that could not be sent, a file each, in a directory that processes share. A file appears whole or not at
/// all, and is on the disk when it appears.
final class PostSpool {
  enum Sending { case done, stopped, busy }

  private static let ending = ".ndjson"
  private static let partialEnding = ".ndjson.partial"
  /// Who writes one for longer is gone.
  private static let partialAgeSecondsMax = 3_600
  /// More than any batch of results within their limits takes.
  private static let fileBytesMax = 64 * 1024 * 1024
  private let directory: String
  private var storedCount = 0

  /// - Parameter directory: made when missing, for its owner alone.
  init(_ directory: String) throws {
    self.directory = directory
    if mkdir(directory, 0o700) != 0 && errno != EEXIST { throw Self.failure("make", directory) }
    if access(directory, R_OK | W_OK | X_OK) != 0 { throw Self.failure("use", directory) }
  }

  /// Keeps a batch for the next run.
  func store(_ batch: PostBatch) throws {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    storedCount += 1
    // Sorted by name they are sorted by time.
    let time = Self.padded(now.tv_sec * 1_000_000_000 + now.tv_nsec, digits: 20)
    let name = "\(time)-\(getpid())-\(Self.padded(storedCount, digits: 8))"
    let path = "\(directory)/\(name)\(Self.ending)"
    let partial = "\(directory)/\(name)\(Self.partialEnding)"
    do {
      try Self.write(batch.lines, to: partial)
      guard rename(partial, path) == 0 else { throw Self.failure("rename", partial) }
      try Self.flushDirectory(directory)
    } catch {
      unlink(partial)
      throw error
    }
  }

  /// Hands over every batch, the oldest first, and removes what `send` is done with.
  /// - Parameters:
  ///   - setAside: told the name that a file which is none of ours, or damaged, has now.
  ///   - send: false when it was not sent, which ends it.
  /// - Returns: `busy` when another process is doing the same.
  func sendAll(setAside: (String) -> Void, _ send: (PostBatch) throws -> Bool) throws -> Sending {
    let lock = open("\(directory)/.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard lock >= 0 else { throw Self.failure("open", "\(directory)/.lock") }
    // The kernel gives it up with the process, however that ends.
    defer { close(lock) }
    if flock(lock, LOCK_EX | LOCK_NB) != 0 { return .busy }
    let names = try names()
    for name in names where name.hasSuffix(Self.partialEnding) { removeIfLeft("\(directory)/\(name)") }
    for name in names.filter({ $0.hasSuffix(Self.ending) }).sorted() {
      let path = "\(directory)/\(name)"
      guard let bytes = try? readFile(path, bytesMax: Self.fileBytesMax), let batch = PostBatch(lines: bytes) else {
        let corrupt = "\(path).corrupt"
        if rename(path, corrupt) == 0 { setAside(corrupt) }
        continue
      }
      guard try send(batch) else { return .stopped }
      if unlink(path) != 0 { throw Self.failure("remove", path) }
    }
    return .done
  }

  private func names() throws -> [String] {
    guard let stream = opendir(directory) else { throw Self.failure("read", directory) }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      names.append(name)
    }
    return names
  }

  /// What a process that was killed was writing. It was not told that its results were kept.
  private func removeIfLeft(_ partial: String) {
    var (status, now) = (stat(), timespec())
    clock_gettime(CLOCK_REALTIME, &now)
    guard stat(partial, &status) == 0 else { return }
    if now.tv_sec - status.st_mtim.tv_sec > Self.partialAgeSecondsMax { unlink(partial) }
  }

  // MARK: - Files

  private static func write(_ bytes: [UInt8], to path: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("make", path) }
    defer { close(descriptor) }
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + written, $0.count - written) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw failure("write", path) }
      written += count
    }
    guard fsync(descriptor) == 0 else { throw failure("flush", path) }
  }

  /// Makes a directory's new names outlast a crash.
  private static func flushDirectory(_ path: String) throws {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("open", path) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw failure("flush", path) }
  }

  private static func failure(_ action: String, _ path: String) -> CommandFailure {
    CommandFailure("cannot \(action) \(path): \(String(cString: strerror(errno)))")
  }

  private static func padded(_ number: Int, digits: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
  }
}
