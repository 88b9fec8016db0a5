import JSON
import RiskModel

/// The example relays that the program ships with: who looked at which relay with which scan, how many days ago, and
/// what failed. What a scan looks at and does not name as failed has passed.
struct DemoFixture {
  struct Source {
    let slug: Slug
    let name: String
    let trust: Double
  }

  /// What one run of a scanner looks at.
  struct Scan {
    let name: String
    let scanner: ProbeResult.Scanner
    let checks: [String]
  }

  struct Run {
    let scan: Scan
    let source: String
    let daysAgo: [Int]
    let model: String?
    let confidence: Double
    let failed: Set<String>
    /// What is said of the failures.
    let note: String?
  }

  struct Relay {
    let details: Provider.Details
    let status: Provider.Status
    let runs: [Run]
    let waivers: [(check: String, reason: String, days: Int)]
    let incidents: [(concern: String, summary: String)]
  }

  let sources: [Source]
  let relays: [Relay]

  /// - Throws: `JSONSyntaxError` or `JSONFaults` when the shipped document is wrong, which a test would have shown.
  init() throws {
    let (value, readerFaults) = try JSONReader.read(ShippedFiles.bytes("demo/relays.json")!)
    var fields = JSONFields(value, faults: readerFaults)
    let sources = fields.required("sources") { try $0.array(Self.source) } ?? []
    let scans = fields.required("scans") { try $0.array(Self.scan) } ?? []
    let relays = fields.required("relays") { field in
      try field.array { try Self.relay($0, scans: scans, sources: sources) }
    }
    try fields.finish()
    self.sources = sources
    self.relays = relays!
  }

  private static func source(_ field: JSONField) throws -> Source {
    try field.object { fields in
      let slug = fields.required("slug") { try Slug(try $0.string()) }
      let name = fields.required("name") { try $0.string(bytesMin: 1, bytesMax: 200) }
      let trust = fields.required("trust") { try $0.double() }
      try fields.finish()
      return Source(slug: slug!, name: name!, trust: trust!)
    }
  }

  private static func scan(_ field: JSONField) throws -> Scan {
    try field.object { fields in
      let name = fields.required("name") { try $0.string() }
      let scanner = fields.required("scanner", ProbeResult.Scanner.init)
      let checks = fields.required("checks") { try $0.array { try $0.string() } }
      try fields.finish()
      return Scan(name: name!, scanner: scanner!, checks: checks!)
    }
  }

  private static func relay(_ field: JSONField, scans: [Scan], sources: [Source]) throws -> Relay {
    try field.object { fields in
      let provider = fields.required("provider") { field in
        var fields = JSONFields(field.value, at: field.pointer)
        let status = fields.required("status") { try $0.oneOf(Provider.Status.self) }
        return (try Provider.Details(&fields), status!)
      }
      let runs = fields.required("runs") { field in
        try field.array { try run($0, scans: scans, sources: sources) }
      }
      let waivers = fields.optional("waivers") { field in
        try field.array { element in
          try element.object { fields in
            let check = fields.required("check") { try $0.string() }
            let reason = fields.required("reason", VoidRoutes.reason)
            let days = fields.required("days") { try $0.integer(in: 1...90) }
            try fields.finish()
            return (check: check!, reason: reason!, days: days!)
          }
        }
      }
      let incidents = fields.optional("incidents") { field in
        try field.array { element in
          try element.object { fields in
            let concern = fields.required("concern") { try $0.string() }
            let summary = fields.required("summary", VoidRoutes.reason)
            try fields.finish()
            return (concern: concern!, summary: summary!)
          }
        }
      }
      try fields.finish()
      return Relay(
        details: provider!.0, status: provider!.1, runs: runs!, waivers: waivers ?? [], incidents: incidents ?? [])
    }
  }

  private static func run(_ field: JSONField, scans: [Scan], sources: [Source]) throws -> Run {
    try field.object { fields in
      let scan = fields.required("scan") { field in
        let name = try field.string()
        guard let scan = scans.first(where: { $0.name == name }) else { throw field.fault("is no scan of this file") }
        return scan
      }
      let source = fields.required("source") { field in
        let slug = try field.string()
        guard sources.contains(where: { $0.slug.text == slug }) else { throw field.fault("is no source of this file") }
        return slug
      }
      let daysAgo = fields.required("days_ago") { try $0.array { try $0.integer(in: 1...365) } }
      let model = fields.optional("model") { try $0.string() }
      let confidence = fields.optional("confidence") { try $0.double() }
      let failed = fields.optional("fail") { field in
        try field.array { element in
          let check = try element.string()
          guard scan?.checks.contains(check) ?? true else { throw element.fault("is no check of the scan") }
          return check
        }
      }
      let note = fields.optional("note") { try $0.string() }
      try fields.finish()
      return Run(
        scan: scan!, source: source!, daysAgo: daysAgo!, model: model, confidence: confidence ?? 1,
        failed: Set(failed ?? []), note: note)
    }
  }
}
