import JSON

/// Which members of an entry of a list of scores are sent.
struct ScoreFields: Sendable {
  /// In the order of the document.
  enum Member: String, CaseIterable, Sendable {
    case provider, score
    case provisionalScore = "provisional_score"
    case grade, verdict, evidence, coverage
    case evaluatedAt = "evaluated_at"
    case concerns
  }

  static let all = ScoreFields(members: Set(Member.allCases))

  private let members: Set<Member>

  private init(members: Set<Member>) { self.members = members }

  /// Names with commas between them.
  /// - Throws: a fault for each that is no member, or comes again.
  init(_ field: JSONField) throws {
    var members: Set<Member> = []
    var faults: [JSONFault] = []
    for name in try field.string().split(separator: ",", omittingEmptySubsequences: false) {
      if let member = Member(rawValue: String(name)) {
        if !members.insert(member).inserted { faults.append(field.fault("names \(name) more than once")) }
      } else if faults.count < JSONFaults.countMax {
        let known = Member.allCases.map(\.rawValue).joined(separator: ", ")
        faults.append(field.fault("\"\(name)\" is none of \(known)"))
      }
    }
    if !faults.isEmpty { throw JSONFaults(faults) }
    self.members = members
  }

  func has(_ member: Member) -> Bool { members.contains(member) }
}
