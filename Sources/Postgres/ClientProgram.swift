import Glibc

/// A program of PostgreSQL's that works on a database: pg_dump, pg_restore, psql.
public struct ClientProgram: Sendable {
  private let name: String
  private let arguments: [String]

  /// - Parameter name: looked for in PATH when it holds no slash.
  public init(_ name: String, arguments: [String]) {
    self.name = name
    self.arguments = arguments
  }

  /// Runs the program to its end, with this process's standard input, output and errors.
  /// - Parameter connectionString: handed over as `--dbname`, so it is seen in lists of processes: a password belongs
  ///   into a file (`passfile`).
  /// - Returns: its exit status; 128 and the signal's number when a signal ended it.
  /// - Throws: `PrivateClusterError.system` when it cannot be started.
  public func run(on connectionString: String) async throws -> Int32 {
    let words = [name, "--dbname=\(connectionString)"] + arguments
    return try await BlockingThread.run { try Self.run(words) }
  }

  private static func run(_ words: [String]) throws(PrivateClusterError) -> Int32 {
    var copies: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for copy in copies { free(copy) } }
    var child = pid_t()
    let errorNumber = posix_spawnp(&child, words[0], nil, nil, &copies, environ)
    guard errorNumber == 0 else { throw .system(call: "start", path: words[0], errorNumber: errorNumber) }
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0, errno == EINTR {}
    // The macros WIFEXITED and WEXITSTATUS are not imported; these are their definitions on Linux.
    let signal = status & 0x7f
    return signal != 0 ? 128 + signal : status >> 8 & 0xff
  }
}
