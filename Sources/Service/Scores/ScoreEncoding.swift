import HTTPServer
import JSON
import RiskModel

/// Whose score it is, as score documents name it.
struct ScoredProvider: Sendable {
  let id, slug, name, status: String

  init(_ provider: Provider) {
    id = provider.id.description
    slug = provider.slug.text
    name = provider.details.name
    status = provider.status.rawValue
  }

  /// As written; what is missing is a fault of the fields.
  init(_ fields: inout JSONFields) {
    id = fields.required("id") { try $0.string() } ?? ""
    slug = fields.required("slug") { try $0.string() } ?? ""
    name = fields.required("name") { try $0.string() } ?? ""
    status = fields.required("status") { try $0.string() } ?? ""
  }

  func write(to json: inout JSONWriter) {
    json.object { json in
      json.member("id", id)
      json.member("slug", slug)
      json.member("name", name)
      json.member("status", status)
    }
  }
}

/// Writes a score document: the contract's fields, the numbers unrounded.
struct ScoreEncoding {
  /// Nil only where it was computed from inputs that name none.
  let provider: ScoredProvider?
  let methodology: ScoringMethodology
  /// Of the words.
  let catalogue: Catalogue
  let assessment: Assessment
  let evaluatedAt: Instant
  let waivers: Int
  let incidents: Int
  let disputes: Int
  let isFull: Bool
  /// Of titles and sentences.
  let language: Language

  private var checks: [Check] { methodology.methodology.checks }

  func write(to json: inout JSONWriter) {
    json.object { json in
      if let provider {
        json.name("provider")
        provider.write(to: &json)
      }
      json.member("methodology", methodology.id)
      json.member("methodology_hash", methodology.hash)
      json.member("evaluated_at", evaluatedAt.rfc3339)
      json.member("score", assessment.isShown ? assessment.score : nil)
      json.member("provisional_score", assessment.score)
      json.member("grade", assessment.isShown ? assessment.grade : nil)
      json.member("verdict", assessment.verdict.rawValue)
      json.member("evidence", assessment.isSufficient ? "sufficient" : "insufficient")
      json.member("coverage", assessment.coverage)
      json.object("range") { json in
        json.member("low", assessment.low)
        json.member("high", assessment.high)
      }
      json.object("robust_range") { json in
        json.member("low", assessment.robustLow)
        json.member("high", assessment.robustHigh)
      }
      json.object("adjustments") { json in
        json.member("single_source", assessment.singleSourceAdjustment)
        json.member("floor", assessment.floorAdjustment)
      }
      json.member("waivers", waivers)
      json.member("incidents", incidents)
      json.member("disputes", disputes)
      json.array("concerns", assessment.concerns) { write($1, to: &$0) }
      json.array("reasons", assessment.reasons) { write($1, to: &$0) }
      if isFull { json.array("checks", assessment.checks) { write($1, to: &$0) } }
    }
  }

  private func write(_ concern: ConcernAssessment, to json: inout JSONWriter) {
    json.object { json in
      json.member("concern", concern.id)
      json.member("title", catalogue.title(of: methodology.methodology.concerns[concern.concern], in: language))
      json.member("score", concern.score)
      json.member("points", concern.points)
      json.member("coverage", concern.coverage)
      json.member("critical", concern.critical.rawValue)
    }
  }

  private func write(_ reason: Reason, to json: inout JSONWriter) {
    let check = checks[reason.check]
    json.object { json in
      json.member("check", check.id)
      json.member("title", catalogue.title(of: check, in: language))
      json.member("concern", check.concernID)
      json.member("points", reason.points)
      json.member("prior_points", reason.priorPoints)
      json.member("direction", reason.direction.rawValue)
      json.member("target", reason.target?.address)
      json.member("model", reason.target?.model)
      json.array("sources", reason.sources) { $0.value($1) }
      json.member("last_observed_at", reason.lastObservedAt?.rfc3339)
      json.member("waived", reason.isWaived)
      json.member("text", ReasonSentence(reason, check: check, in: language).text)
    }
  }

  private func write(_ check: CheckAssessment, to json: inout JSONWriter) {
    json.object { json in
      json.member("check", checks[check.check].id)
      json.member("theta", check.theta)
      json.member("seen", check.seen)
      json.member("unseen", check.unseen)
      json.member("prior", check.prior)
      json.member("fail_evidence", check.failEvidence)
      json.member("pass_evidence", check.passEvidence)
      json.member("target", check.target?.address)
      json.member("model", check.target?.model)
      json.member("sources", check.sources)
      json.member("points", check.points)
      json.member("critical", check.critical.rawValue)
      json.member("covered", check.isCovered)
      json.member("last_observed_at", check.lastObservedAt?.rfc3339)
      json.member("waived", check.isWaived)
    }
  }
}
