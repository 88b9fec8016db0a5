import JSON

/// A testssl.sh report, read: its targets with what they show.
///
/// Nothing here judges: `Target.conclusions()` says what the findings mean for the checks of the catalogue.
struct TestSSLReport: Sendable {
  /// One line of the report, in testssl.sh's own words.
  struct Finding: Sendable, Equatable {
    /// With its suffix, when the server showed several certificates: `cert_keySize <cert#2>`.
    let id: String
    /// testssl.sh's opinion, which differs from ours: 3DES is INFO there and TLS 1.0 LOW.
    let severity: String
    let finding: String
    /// Several numbers are separated by blanks.
    let cve: String?
    let cwe: String?

    init(id: String, severity: String, finding: String, cve: String? = nil, cwe: String? = nil) {
      self.id = id
      self.severity = severity
      self.finding = finding
      self.cve = cve
      self.cwe = cwe
    }
  }

  /// One address that was scanned. A name with several addresses makes several targets of the same `address`.
  struct Target: Sendable, Equatable {
    /// The name asked for; nil when the scan was of an ip.
    let host: String?
    /// Without brackets; empty when testssl.sh found no address for the name.
    let ip: String
    let port: Int
    var findings: [Finding]

    /// - Parameters:
    ///   - name: as the report has it, which repeats the ip when an ip was asked for.
    ///   - ip: as the report has it: IPv6 in brackets.
    init(name: String, ip: String, port: Int, findings: [Finding]) {
      let name = Self.withoutBrackets(name)
      let ip = Self.withoutBrackets(ip)
      // No name has a colon, so this is an IPv6 address, which may be all that is known: `::1/`.
      let nameIsIP = name == ip || name.contains(":")
      self.host = name.isEmpty || nameIsIP ? nil : name
      self.ip = ip.isEmpty && nameIsIP ? name : ip
      self.port = port
      self.findings = findings
    }

    /// `host:port`, with the name when there is one and an IPv6 address in brackets.
    var address: String {
      if let host { return "\(host):\(port)" }
      return ip.contains(":") ? "[\(ip)]:\(port)" : "\(ip):\(port)"
    }

    private static func withoutBrackets(_ text: String) -> String {
      text.hasPrefix("[") && text.hasSuffix("]") ? String(text.dropFirst().dropLast()) : text
    }
  }

  /// In the order of the report; never empty.
  let targets: [Target]
  /// Only the pretty form names it.
  let version: String?
  /// Milliseconds since 1970. Only the pretty form has it.
  let startTime: Int64?
}

/// Why bytes are no report that can be used. Nothing of such a file counts.
enum TestSSLError: Error, Equatable, CustomStringConvertible {
  /// Most often a scan that was killed: testssl.sh writes the end of the document last.
  case notJSON(JSONSyntaxError)
  /// It is a report, but what is read of it is not as testssl.sh writes it.
  case faults([JSONFault])
  case notAReport(String)

  var description: String {
    switch self {
    case .notJSON(let error):
      let advice =
        switch error.reason {
        case .endOfInput: " Was the scan stopped before its end?"
        // 3.3dev puts a note on DNS inside the object of a target that speaks no TLS.
        case .unexpected: " Some versions write the pretty form wrong; the flat one (--jsonfile) is sound."
        case .notUTF8, .tooDeep: ""
        }
      return "The testssl.sh report cannot be read: \(error).\(advice)"
    case .faults(let faults):
      let all = faults.map { "\($0.pointer.isEmpty ? "the document" : $0.pointer) \($0.detail)" }
      return "The testssl.sh report has faults: " + all.joined(separator: "; ") + "."
    case .notAReport(let reason):
      return "This is not a testssl.sh report: \(reason)."
    }
  }
}
