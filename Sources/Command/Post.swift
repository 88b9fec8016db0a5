import ArgumentParser
import Glibc

struct Post: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Posts probe results to a service, for scanners that are scripts.",
    discussion: """
      Takes JSON, one result, an array or {"results": [...]}, and NDJSON, a result a line, of any length. Posting the \
      same again stores nothing. While the service cannot be reached it tries again, and after --timeout keeps what is \
      left in the spool, which the next run sends first. A result that is rejected is named with its line.

      The key is read from RELAYRISK_KEY or from a file: an argument would show in the list of processes. Proxies are \
      those of https_proxy and http_proxy.

      Exits with 1 when a result was rejected, or could neither be sent nor spooled; with 0 when it was spooled. \
      SIGINT and SIGTERM end it once what it has read is sent or spooled.
      """)

  @Argument(help: "Files of results, or - for standard input. (default: standard input)")
  var files: [String] = []

  @Option(help: ArgumentHelp("The service, such as https://relayrisk.example.", valueName: "url"))
  var url: String?

  @Option(help: ArgumentHelp("A file that holds the key, and nothing else.", valueName: "file"))
  var keyFile: String?

  @Option(
    help: ArgumentHelp("Where results are kept that could not be sent. (default: nowhere)", valueName: "directory"))
  var spool: String?

  @Option(help: ArgumentHelp("How long a batch of results is tried. (default: 60)", valueName: "seconds"))
  var timeout: Int?

  @Option(help: ArgumentHelp("Certificates (PEM) to trust instead of the system's.", valueName: "file"))
  var caFile: String?

  private static let timeoutSecondsDefault = 60
  private static let timeoutSecondsMax = 86_400
  private static let keyBytesMax = 4_096

  func validate() throws { _ = (try base, try timeoutSeconds) }

  /// The address without a slash at its end.
  private var base: String {
    get throws {
      let given = try required(url, "url")
      let rest = ["https://", "http://"].first { given.lowercased().hasPrefix($0) }.map { given.dropFirst($0.count) }
      let isPlain = given.utf8.allSatisfy { (0x21...0x7E).contains($0) && !"?#@".utf8.contains($0) }
      guard let rest, let first = rest.first, first != "/", isPlain else {
        throw ValidationError("\"\(given)\" is no address of a service; give one such as https://relayrisk.example")
      }
      return String(given[..<given.index(after: given.lastIndex { $0 != "/" } ?? given.startIndex)])
    }
  }

  private var timeoutSeconds: Int {
    get throws {
      let named = environment(twin(of: "timeout"))
      guard let seconds = timeout ?? (named == nil ? Self.timeoutSecondsDefault : Int(named!)),
        (0...Self.timeoutSecondsMax).contains(seconds)
      else { throw ValidationError("the timeout must be 0 to \(Self.timeoutSecondsMax) seconds") }
      return seconds
    }
  }

  /// Of the file, or of the environment.
  private func key() throws -> String {
    var text = ""
    if let path = keyFile ?? environment(twin(of: "key-file")) {
      text = String(decoding: try readFile(path, bytesMax: Self.keyBytesMax), as: UTF8.self)
    } else if let variable = environment(twin(of: "key")) {
      text = variable
    } else {
      throw ValidationError("No key: set RELAYRISK_KEY, or name a file with --key-file (RELAYRISK_KEY_FILE).")
    }
    let parts = text.split(whereSeparator: \.isWhitespace)
    guard parts.count == 1, parts[0].utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      throw CommandFailure("the key is no key: it has to be what `relayrisk keys create` printed, and nothing else")
    }
    return String(parts[0])
  }

  /// Looked for at once: libcurl opens the file only for `https`, and every time.
  private func authorities() throws -> String? {
    guard let path = caFile ?? environment(twin(of: "ca-file")) else { return nil }
    guard access(path, R_OK) == 0 else {
      throw CommandFailure("cannot open \(path): \(String(cString: strerror(errno)))")
    }
    return path
  }

  func run() throws {
    let report = PostReport()
    let sender = try PostSender(
      base: try base, key: try key(), authorities: try authorities(), timeoutSeconds: try timeoutSeconds,
      report: report)
    let spool = try (spool ?? environment(twin(of: "spool"))).map { try PostSpool($0) }
    let posting = Posting(sender: sender, spool: spool, report: report)
    Interruption.watch()
    try posting.sendSpooled()
    for file in files.isEmpty ? ["-"] : files { try posting.post(PostInput(path: file)) }
    report.finish()
    Interruption.passOn()
    if posting.isFailed || report.isAnyLost { throw ExitCode(1) }
  }
}
