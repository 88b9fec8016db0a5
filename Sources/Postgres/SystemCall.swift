import Glibc

/// The file calls that the private cluster needs, with errors that name the path.
enum SystemCall {
  static func text(of errorNumber: Int32) -> String { String(cString: strerror(errorNumber)) }

  @discardableResult
  static func check(_ result: Int32, _ call: String, _ path: String) throws(PrivateClusterError) -> Int32 {
    guard result >= 0 else { throw .system(call: call, path: path, errorNumber: errno) }
    return result
  }

  /// Nil when there is nothing at `path`. Does not follow a symbolic link.
  static func status(of path: String) -> stat? {
    var status = stat()
    return lstat(path, &status) == 0 ? status : nil
  }

  static func isDirectory(_ status: stat) -> Bool { status.st_mode & S_IFMT == S_IFDIR }

  /// The path without symbolic links.
  static func realPath(_ path: String) throws(PrivateClusterError) -> String {
    guard let resolved = realpath(path, nil) else {
      throw .system(call: "realpath", path: path, errorNumber: errno)
    }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  /// Makes the directory and what is missing above it. What exists is left as it is; what is made gets exactly `mode`,
  /// whatever the umask, as an unprivileged PostgreSQL has to pass through it.
  static func makeDirectories(_ path: String, mode: mode_t) throws(PrivateClusterError) {
    if mkdir(path, mode) == 0 {
      try check(chmod(path, mode), "chmod", path)
      return
    }
    if errno == EEXIST { return }
    guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
      throw .system(call: "mkdir", path: path, errorNumber: errno)
    }
    try makeDirectories(String(path[..<slash]), mode: 0o755)
    // Once more and not again: in some places, such as /proc, nothing can be made in a directory that is there.
    guard mkdir(path, mode) == 0 else {
      if errno == EEXIST { return }
      throw .system(call: "mkdir", path: path, errorNumber: errno)
    }
    try check(chmod(path, mode), "chmod", path)
  }

  /// The whole of a small file, or its last `bytesMax` bytes; nil when it cannot be read.
  static func read(_ path: String, lastBytesMax bytesMax: Int = 65_536) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    let size = lseek(descriptor, 0, SEEK_END)
    lseek(descriptor, max(0, size - bytesMax), SEEK_SET)
    var bytes = [UInt8](repeating: 0, count: bytesMax)
    let count = Glibc.read(descriptor, &bytes, bytesMax)
    guard count >= 0 else { return nil }
    return String(decoding: bytes[..<count], as: UTF8.self)
  }

  /// Replaces what the file holds. Refuses a symbolic link, as the directory may belong to a less trusted user.
  static func write(_ text: String, to path: String, mode: mode_t = 0o600) throws(PrivateClusterError) {
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW
    let descriptor = try check(open(path, flags, mode), "open", path)
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
      throw .system(call: "write", path: path, errorNumber: errno)
    }
  }

  /// The names in a directory, without `.` and `..`; none when it cannot be read.
  static func names(in directory: String) -> [String] {
    guard let stream = opendir(directory) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }
}
