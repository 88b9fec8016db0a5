import JSON

/// The two JSON forms of testssl.sh, the same in 3.0, 3.2 and 3.3:
///
/// - flat (`--jsonfile`): an array of findings, each with `"ip": "name/ip"` and `"port": "443"`,
/// - pretty (`--jsonfile-pretty`): an object whose `scanResult` holds an object for each target, with the findings in
///   arrays named after the section of the scan.
///
/// It is a foreign format and grows: members and ids that are not known are passed over. What is used must be right.
extension TestSSLReport {
  /// What the service accepts as an import; the command reads files of any size, so it is checked here again.
  static let bytesMax = 32 << 20

  init(_ bytes: [UInt8]) throws(TestSSLError) {
    guard bytes.count <= Self.bytesMax else {
      throw .notAReport("it is \(bytes.count) bytes long, at most \(Self.bytesMax) are read")
    }
    let document: JSONValue
    let faults: [JSONFault]
    do {
      (document, faults) = try JSONReader.read(bytes)
    } catch {
      throw .notJSON(error)
    }
    var reading = TestSSLReading(faults: faults)
    switch document {
    case .array(let entries):
      targets = try reading.flat(entries)
      version = nil
      startTime = nil
    case .object(let object):
      (targets, version, startTime) = try reading.pretty(object)
    default:
      throw .notAReport("it is \(document.typeName), not an array of findings or an object with scanResult")
    }
    guard !targets.isEmpty else {
      throw .notAReport(reading.problem.map { "it names no target, it says: \($0)" } ?? "it names no target")
    }
  }
}

/// Collects the faults of a whole document while it is read.
private struct TestSSLReading {
  /// Those of the JSON itself, then those found here.
  var faults: [JSONFault]
  /// The first reason testssl.sh gave for not scanning: `Can't connect to ...`.
  var problem: String?

  /// As many as `JSONReader` reports: more are not read, and 32 MiB of faults are no answer.
  private static let faultsMax = 100

  // MARK: - Flat

  mutating func flat(_ entries: [JSONValue]) throws(TestSSLError) -> [TestSSLReport.Target] {
    // Another tool's array must not come back as a thousand faults about members it never had.
    guard entries.isEmpty || entries.contains(where: Self.isFinding) else {
      throw .notAReport("it is an array, but not of objects with id, severity and finding")
    }
    var targets: [TestSSLReport.Target] = []
    // Scans of several targets may be interleaved, so each finding goes by its address.
    var places: [String: Int] = [:]
    for (index, entry) in entries.enumerated() where faults.count < Self.faultsMax {
      var fields = JSONFields(entry, at: "/\(index)")
      let finding = read(&fields)
      let place = fields.required("ip") { try $0.string() }
      // What is said before the first target is known (`engine_problem`) is filed under "/", port 443.
      let isOfTheClient = place == "/"
      let port = isOfTheClient ? nil : fields.required("port", Self.port)
      faults += fields.faults
      guard let finding, let place, let port else { continue }
      if let known = places["\(place) \(port)"] {
        targets[known].findings.append(finding)
      } else {
        places["\(place) \(port)"] = targets.count
        let cut = place.lastIndex(of: "/")
        let name = cut.map { String(place[..<$0]) } ?? ""
        let ip = cut.map { String(place[place.index(after: $0)...]) } ?? place
        targets.append(TestSSLReport.Target(name: name, ip: ip, port: port, findings: [finding]))
      }
    }
    if !faults.isEmpty { throw .faults(faults) }
    return targets
  }

  // MARK: - Pretty

  mutating func pretty(
    _ document: JSONObject
  ) throws(TestSSLError) -> (targets: [TestSSLReport.Target], version: String?, startTime: Int64?) {
    guard case .array(let results)? = document["scanResult"] else {
      throw .notAReport("it is an object without the array scanResult")
    }
    var fields = JSONFields(.object(document))
    let version = fields.optional("version") { try $0.string() }
    let startTime = fields.optional("startTime", Self.seconds)
    faults += fields.faults

    var targets: [TestSSLReport.Target] = []
    for (index, result) in results.enumerated() where faults.count < Self.faultsMax {
      let pointer = "/scanResult/\(index)"
      // Notes taken before a target was reached stand bare between the targets.
      if Self.isFinding(result) {
        var fields = JSONFields(result, at: pointer)
        _ = read(&fields)
        faults += fields.faults
      } else if let target = target(result, at: pointer) {
        targets.append(target)
      }
    }
    if !faults.isEmpty { throw .faults(faults) }
    // "3.0.8  from ", "3.3dev ", "3.2.0 (1a2b3c4 2025-01-01)": only the first word is the version.
    return (targets, version?.split(separator: " ").first.map(String.init), startTime.map { $0 * 1_000 })
  }

  private mutating func target(_ value: JSONValue, at pointer: String) -> TestSSLReport.Target? {
    var fields = JSONFields(value, at: pointer)
    let name = fields.required("targetHost") { try $0.string() }
    let ip = fields.required("ip") { try $0.string() }
    let port = fields.required("port", Self.port)
    let service = fields.optional("service") { try $0.string() }
    faults += fields.faults

    var findings: [TestSSLReport.Finding] = []
    if let service {
      // The flat form has it as a finding. The pretty one drops its severity, which decides nothing.
      findings.append(TestSSLReport.Finding(id: "service", severity: "INFO", finding: service))
    }
    if case .object(let object) = value {
      // Sections were renamed between the versions (pfs, fs) and ids were not: all are read.
      for case (let section, .array(let entries)) in object.members {
        for (index, entry) in entries.enumerated() where Self.isFinding(entry) && faults.count < Self.faultsMax {
          var fields = JSONFields(entry, at: jsonPointer(pointer, section) + "/\(index)")
          if let finding = read(&fields) { findings.append(finding) }
          faults += fields.faults
        }
      }
    }
    guard let name, let ip, let port else { return nil }
    return TestSSLReport.Target(name: name, ip: ip, port: port, findings: findings)
  }

  // MARK: - Pieces

  private static func isFinding(_ value: JSONValue) -> Bool {
    guard case .object(let object) = value else { return false }
    return object["id"] != nil && object["finding"] != nil
  }

  private mutating func read(_ fields: inout JSONFields) -> TestSSLReport.Finding? {
    let id = fields.required("id") { try $0.string(bytesMin: 1) }
    let severity = fields.required("severity") { try $0.string() }
    let text = fields.required("finding") { try $0.string() }
    let cve = fields.optional("cve") { try $0.string() }
    let cwe = fields.optional("cwe") { try $0.string() }
    guard let id, let severity, let text else { return nil }
    // It ends up in a message, which a forged report must not fill.
    if id == "scanProblem", problem == nil { problem = String(text.prefix(300)) }
    return TestSSLReport.Finding(id: id, severity: severity, finding: text, cve: cve, cwe: cwe)
  }

  /// testssl.sh quotes every number.
  private static func port(_ field: JSONField) throws -> Int {
    let text = try field.string()
    guard let port = Int(text), 1...65_535 ~= port else { throw field.fault("must be a port from 1 to 65535") }
    return port
  }

  private static func seconds(_ field: JSONField) throws -> Int64 {
    let text = try field.string()
    // The last second of the year 9999, as RFC 3339 can write it.
    guard let seconds = Int64(text), 0...253_402_300_799 ~= seconds else {
      throw field.fault("must be the seconds since 1970")
    }
    return seconds
  }
}
