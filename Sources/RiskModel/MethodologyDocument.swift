import JSON

extension Methodology {
  /// Reads and validates a methodology's document.
  ///
  /// The ranges are those for which every formula yields a finite number and the guarantees of the methodology hold;
  /// what is sensible within them is the author's judgement.
  /// - Throws: everything that is wrong at once, each fault with its JSON pointer: members that are missing, unknown
  ///   or out of range, a check of an unknown concern, an id that appears twice. What follows from several of them
  ///   together (a concern that no scored check probes, a prior of 1 or more) is looked for when those are in range.
  public init(_ document: JSONValue) throws(JSONFaults) {
    var fields = JSONFields(document)
    // The names, not the concerns read: a fault inside a concern must not make its checks faulty too.
    let concernIDs = Self.concernIDs(of: document)
    let constants = Self.constants(from: &fields)
    let concerns = fields.required("concerns") { try Self.concerns(from: $0) }
    let drafts = fields.required("checks") { try Self.drafts(from: $0, concernIDs: concernIDs) }
    var checks: [Check] = []
    var faults: [JSONFault] = []
    if let concerns, let drafts, Severity.allCases.allSatisfy({ constants.severityImpact[$0].isFinite }) {
      let priors = Priors(concerns: concerns, drafts: drafts, severityImpact: constants.severityImpact)
      checks = drafts.map { priors.check($0) }
      faults = Self.faults(concerns: concerns, checks: checks, priors: priors)
    }
    do throws(JSONFaults) { try fields.finish() } catch { faults = error.faults + faults }
    guard faults.isEmpty, let concerns else { throw JSONFaults(faults) }
    self.init(constants: constants, concerns: concerns, checks: checks)
  }

  private static func constants(from fields: inout JSONFields) -> Constants {
    Constants(
      id: fields.text("id", bytesMax: 100), saturation: fields.number("saturation", weights),
      z: fields.number("z", 0.01...10), singleSourceLimit: fields.number("single_source_limit", scores),
      kappa: fields.byKind("kappa", weights), evasion: fields.byKind("evasion", 0...1),
      severityImpact: fields.part("severity_impact") { fields in
        SeverityImpact(
          info: fields.number("info", 0...1), low: fields.number("low", 0...1), medium: fields.number("medium", 0...1),
          high: fields.number("high", 0...1), critical: fields.number("critical", 0...1))
      },
      critical: fields.part("critical") { fields in
        // Above 1, so that no witness confirms alone; above 0, so that silence is not a provisional failure.
        let thresholds = CriticalThresholds(
          confirm: fields.number("confirm", 1.01...1_000), provisional: fields.number("provisional", 0.01...1_000),
          provisionalFloor: fields.number("provisional_floor", scores))
        if thresholds.provisional > thresholds.confirm { fields.fault("provisional", "must not be above confirm") }
        return thresholds
      },
      sufficiency: fields.part("sufficiency") { fields in
        // Above 0, so that silence is never sufficient.
        Sufficiency(
          minEvidence: fields.number("min_evidence", weights), minCoverage: fields.number("min_coverage", 0.001...1),
          minConcernCoverage: fields.number("min_concern_coverage", 0...1))
      },
      verdict: fields.part("verdict") { fields in
        VerdictThresholds(
          blockLow: fields.number("block_low", scores), allowHigh: fields.number("allow_high", scores))
      },
      grades: fields.required("grades") { try grades(from: $0) } ?? [])
  }

  private static func grades(from field: JSONField) throws -> [GradeBand] {
    var max = -Double.infinity
    var remaining = 0
    if case .array(let bands) = field.value { remaining = bands.count }
    return try field.array(count: 1...100) { field in
      try field.object { fields in
        let band = GradeBand(max: fields.number("max", scores), grade: fields.text("grade", bytesMax: 20))
        if band.max <= max { fields.fault("max", "must be above that of the band before") }
        max = band.max
        remaining -= 1
        if remaining == 0, max < 100 { fields.fault("max", "must be 100 in the last band: every score has a grade") }
        return band
      }
    }
  }

  /// Nil without an object of concerns: that is the fault then, and not the concern of every check.
  private static func concernIDs(of document: JSONValue) -> [String: Int]? {
    guard case .object(let object) = document, case .object(let concerns) = object["concerns"] else { return nil }
    return Dictionary(uniqueKeysWithValues: concerns.members.enumerated().map { ($1.name, $0) })
  }

  private static func concerns(from field: JSONField) throws -> [Concern] {
    guard case .object(let object) = field.value else {
      throw field.fault("must be an object, not \(field.value.typeName)")
    }
    if object.members.isEmpty { throw field.fault("must have at least one member") }
    var faults: [JSONFault] = []
    let concerns = object.members.map { member in
      var fields = JSONFields(member.value, at: jsonPointer(field.pointer, member.name))
      // Below 1, so that the most that every check together can show still is a finite hazard.
      let concern = Concern(
        id: member.name, title: fields.text("title", bytesMax: 500), impact: fields.number("impact", 0.001...0.999),
        baseRate: fields.number("base_rate", 0.0001...0.999),
        failHalfLifeDays: fields.number("fail_half_life_days", halfLives),
        passHalfLifeDays: fields.number("pass_half_life_days", halfLives), floor: fields.number("floor", scores))
      do throws(JSONFaults) { try fields.finish() } catch { faults += error.faults }
      return concern
    }
    if !faults.isEmpty { throw JSONFaults(faults) }
    return concerns
  }

  private static func drafts(from field: JSONField, concernIDs: [String: Int]?) throws -> [CheckDraft] {
    var seen: Set<String> = []
    return try field.array(count: 1...10_000) { field in
      try field.object { fields in
        let id = fields.text("id", bytesMax: 200)
        if !id.isEmpty, !seen.insert(id).inserted { fields.fault("id", "is the id of an earlier check") }
        let concern = fields.required("concern") { field in
          let concern = try field.string()
          guard let concernIDs else { return 0 }
          guard let index = concernIDs[concern] else { throw field.fault("is not one of the concerns") }
          return index
        }
        return CheckDraft(
          id: id, concern: concern ?? 0, severity: fields.choice("severity", or: .info),
          kind: fields.choice("kind", or: .state), sensitivity: fields.number("sensitivity", 0.001...1),
          objectivity: fields.choice("objectivity", or: .judgement), access: fields.choice("access", or: .none),
          title: fields.text("title", bytesMax: 500), titleChinese: fields.text("title_zh", bytesMax: 500))
      }
    }
  }

  private static func faults(concerns: [Concern], checks: [Check], priors: Priors) -> [JSONFault] {
    var faults: [JSONFault] = []
    for (index, concern) in concerns.enumerated() where !priors.isScored(concern: index) {
      faults.append(
        JSONFault(pointer: jsonPointer("/concerns", concern.id), detail: "has no check whose severity has an impact"))
    }
    for (index, check) in checks.enumerated() where check.prior >= 1 {
      faults.append(
        JSONFault(
          pointer: "/checks/\(index)/severity",
          detail: "carries too little impact to hold its share of the concern's base risk: the prior is \(check.prior)")
      )
    }
    return faults
  }

  /// 0 to 100.
  private static let scores = 0.0...100
  /// In results at full confidence. They divide, hence not 0.
  private static let weights = 0.001...1_000_000
  /// Days, up to a century.
  private static let halfLives = 0.01...36_500
}

// Each of these reads a required member. The value in place of a faulty one never leaves this file, because `finish`
// throws the fault.
extension JSONFields {
  fileprivate mutating func number(_ name: String, _ range: ClosedRange<Double>) -> Double {
    required(name) { field in
      let number = try field.double()
      guard range.contains(number) else {
        throw field.fault("must be a number from \(range.lowerBound) to \(range.upperBound)")
      }
      return number
    } ?? .nan
  }

  fileprivate mutating func text(_ name: String, bytesMax: Int) -> String {
    required(name) { try $0.string(bytesMin: 1, bytesMax: bytesMax) } ?? ""
  }

  fileprivate mutating func choice<Choice: RawRepresentable & CaseIterable>(_ name: String, or other: Choice) -> Choice
  where Choice.RawValue == String {
    required(name) { try $0.oneOf(Choice.self) } ?? other
  }

  fileprivate mutating func byKind(_ name: String, _ range: ClosedRange<Double>) -> Methodology.ByKind {
    part(name) { fields in
      Methodology.ByKind(state: fields.number("state", range), sample: fields.number("sample", range))
    }
  }

  /// A nested object. When it is absent, it is read as an empty one whose own faults are dropped: that it is required
  /// says it all.
  fileprivate mutating func part<Value>(_ name: String, _ body: (inout JSONFields) -> Value) -> Value {
    if let value = required(name, { try $0.object(body) }) { return value }
    var absent = JSONFields(.null)
    return body(&absent)
  }
}
