/// Where the compiler's guarantees are switched off, and why that is right there.
enum SafetyRules {
  struct Exception: Sendable {
    let path: String
    let construct: String
    let reason: String

    init(_ path: String, _ construct: String, _ reason: String) {
      self.path = path
      self.construct = construct
      self.reason = reason
    }
  }

  static let constructs = ["@unchecked Sendable", "nonisolated(unsafe)", "unsafeBitCast", "try!", "fatalError"]

  static let exceptions = [
    Exception("Sources/EventLoop/EventLoop.swift", "@unchecked Sendable", "a loop's state belongs to its own thread"),
    Exception("Sources/HTTPServer/Daemon.swift", "@unchecked Sendable", "confined to its loop's thread"),
    Exception("Sources/HTTPServer/Exchange.swift", "@unchecked Sendable", "confined to its loop's thread"),
    Exception(
      "Sources/HTTPServer/MessageHandle.swift", "@unchecked Sendable", "libmicrohttpd counts references under a lock"),
    Exception("Sources/HTTPServer/MessageHandle.swift", "fatalError", "no memory left: nothing could be answered"),
    Exception("Sources/HTTPServer/IncomingBody.swift", "@unchecked Sendable", "confined to its loop's thread"),
    Exception("Sources/HTTPServer/StreamedBody.swift", "@unchecked Sendable", "confined to its loop's thread"),
    Exception("Sources/HTTPServer/ClientAuthorities.swift", "@unchecked Sendable", "GnuTLS only reads from it"),
    Exception("Sources/HTTPServer/TLSIdentity.swift", "@unchecked Sendable", "GnuTLS only reads from it"),
    Exception("Sources/HTTPServer/TLSIdentity.swift", "unsafeBitCast", "a C function as libmicrohttpd takes it"),
    Exception("Sources/HTTPServer/PlainThread.swift", "@unchecked Sendable", "a POSIX semaphore is for many threads"),
    Exception("Sources/Postgres/Connector.swift", "@unchecked Sendable", "handed from thread to thread, never shared"),
    Exception("Sources/Postgres/Row.swift", "@unchecked Sendable", "a PGresult is read-only"),
    Exception(
      "Sources/Service/Registry/PublicSuffixes.swift", "nonisolated(unsafe)", "libpsl's list is read-only once loaded"),
  ]

  /// Tests may be blunt: a `try!` in a fixture fails the test that needs it.
  static func violations(in sources: [SourceFile], exceptions: [Exception] = exceptions) -> [Violation] {
    var unused = Set(exceptions.indices)
    var violations: [Violation] = []
    for file in sources where file.isSwift {
      for (number, code) in file.numberedCode {
        for construct in constructs where code.contains(construct) {
          let index = exceptions.firstIndex { $0.path == file.path && $0.construct == construct }
          if let index {
            unused.remove(index)
          } else {
            let advice = "\(construct) needs a reason in SafetyRules.exceptions; better, do without it"
            violations.append(Violation(path: file.path, line: number, advice: advice))
          }
        }
      }
    }
    return violations
      + unused.sorted().map { index in
        let advice = "SafetyRules.exceptions allows \(exceptions[index].construct), which is gone: remove the entry"
        return Violation(path: exceptions[index].path, line: 1, advice: advice)
      }
  }
}
