import Foundation
import TestHarness
import Testing

/// `relayrisk serve` as a process, on a data directory of its own.
final class RunningService: @unchecked Sendable {
  // Written once per start, read afterwards; tests do not share one.
  private(set) var process = Process()
  private(set) var address = ""
  let dataDirectory: String
  private let log: String
  /// After the first start the port that it got, as a server that comes back has the same.
  private var listen = "127.0.0.1:0"

  init() {
    dataDirectory = TemporaryDirectory.make() + "/data"
    log = dataDirectory + ".log"
    ExitCleanup.add(dataDirectory)
  }

  var errors: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

  func client(key: String?) -> APIClient { APIClient(base: address, key: key) }

  /// Starts the program and waits until it says that it is ready to score.
  /// - Parameter inherited: a listening socket that it is handed as systemd does it.
  func start(arguments: [String] = [], inherited: FileHandle = .nullDevice) async throws {
    process = Process()
    process.executableURL = URL(fileURLWithPath: Program.path)
    process.arguments = ["serve", "--listen", listen, "--data-dir", dataDirectory] + arguments
    if inherited != .nullDevice {
      let handOver = #"exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@""#
      process.arguments = ["-c", handOver, Program.path] + process.arguments!
      process.executableURL = URL(fileURLWithPath: "/bin/sh")
    }
    _ = FileManager.default.createFile(atPath: log, contents: nil)
    process.standardError = FileHandle(forWritingAtPath: log)
    process.standardInput = inherited
    try process.run()
    address = try await waitFor("the address") {
      errors.split(separator: "\n").first { $0.hasPrefix("relayrisk listens on ") }
        .map { String($0.dropFirst("relayrisk listens on ".count)) }
    }
    listen = String(address.split(separator: "/").last!)
    _ = try await waitFor("readiness") {
      // No certificate of a test is trusted by the client.
      if address.hasPrefix("https:") { return errors.contains(" ready") ? true : nil }
      return try await client(key: nil).get("/readyz").status == 200 ? true : nil
    }
  }

  func createKey(_ scope: String = "admin") async throws -> String {
    let outcome = try await Program.run(
      ["keys", "create", "--name", "test", "--scope", scope, "--data-dir", dataDirectory])
    #expect(outcome.status == 0, "\(outcome.errors)")
    return outcome.output.trimmingCharacters(in: .newlines)
  }

  /// Sends a signal and waits for the end.
  /// - Returns: the exit status, or the signal that ended it, negated.
  @discardableResult
  func end(_ signal: Int32) async -> Int32 {
    kill(process.processIdentifier, signal)
    return await process.end()
  }

  /// The directory of the private cluster's socket.
  var socketDirectory: String {
    get throws {
      try String(contentsOfFile: dataDirectory + "/postgres-socket", encoding: .utf8)
        .trimmingCharacters(in: .whitespacesAndNewlines)
    }
  }

  /// The private cluster's database, as libpq takes it.
  var databaseURL: String { get throws { "host=\(try socketDirectory) user=relayrisk dbname=relayrisk" } }

  /// Runs a statement in the private cluster.
  /// - Parameter port: the last part of the socket's name.
  /// - Returns: what psql prints, columns separated by a bar.
  @discardableResult
  func sql(_ statement: String, port: Int = 5432) async throws -> String {
    let outcome = try await Program.run(
      ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement, "\(try databaseURL) port=\(port)"],
      of: "/usr/bin/psql")
    #expect(outcome.status == 0, "\(statement): \(outcome.errors)")
    return outcome.output.trimmingCharacters(in: .newlines)
  }

  /// The process id of the private cluster's postmaster; nil when none runs.
  var postmaster: pid_t? {
    guard let text = try? String(contentsOfFile: dataDirectory + "/postgres/postmaster.pid", encoding: .utf8),
      let id = text.split(separator: "\n").first.flatMap({ pid_t($0) }), kill(id, 0) == 0
    else { return nil }
    return id
  }
}

/// A socket that listens on a free port, kept open for as long as its handle.
func listeningSocket() throws -> (handle: FileHandle, port: UInt16) {
  let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
  var length = socklen_t(MemoryLayout<sockaddr_in>.size)
  let status = withUnsafeMutablePointer(to: &address) { pointer in
    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
      bind(descriptor, address, length) == 0 && Glibc.listen(descriptor, 128) == 0
        && getsockname(descriptor, address, &length) == 0
    }
  }
  try #require(status)
  return (FileHandle(fileDescriptor: descriptor, closeOnDealloc: true), UInt16(bigEndian: address.sin_port))
}

/// Asks until there is an answer, for at most 60 s.
func waitFor<Value>(_ what: String, _ ask: () async throws -> Value?) async throws -> Value {
  let deadline = ContinuousClock.now + .seconds(60)
  while ContinuousClock.now < deadline {
    if let value = try? await ask() { return value }
    try await Task.sleep(for: .milliseconds(50))
  }
  throw Missed(what: what)
}

struct Missed: Error { let what: String }
