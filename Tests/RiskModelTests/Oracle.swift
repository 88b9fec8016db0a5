import Foundation
import JSON
import RiskModel

/// The methodology once more, from its words and as plainly as they can be put: constants straight from the document,
/// every sum straight from the raw results, everything computed anew for every question. What the engine answers in
/// one pass over folded cells must agree with it.
struct Oracle {
  struct Risk: Equatable {
    var base, low, high, coverage: Double
    var isSufficient: Bool
    /// Of each check and of each concern, by id.
    var theta: [String: Double] = [:]
    var lambda: [String: Double] = [:]
    var concernScore: [String: Double] = [:]
  }

  let document: JSONValue
  let scenario: Scenario
  private let sums: [Scenario.Place: (fail: Double, pass: Double)]

  init(_ document: JSONValue, _ scenario: Scenario) {
    self.document = document
    self.scenario = scenario
    sums = Dictionary(grouping: scenario.counted) {
      Scenario.Place(source: $0.source, check: $0.check, target: $0.target)
    }.mapValues { Oracle.directSum(of: $0, at: scenario.at, document) }
  }

  /// Section 2, result by result.
  static func directSum(
    of results: [ProbeResult], at: Instant, _ document: JSONValue
  ) -> (fail: Double, pass: Double) {
    let check = document["checks"].array.first { $0["id"].string == results[0].check }!
    let concern = document["concerns"][check["concern"].string!]
    var counted = results.filter { ($0.outcome == .pass || $0.outcome == .fail) && $0.observedAt <= at }
    if check["kind"].string == "state" {
      let newest = counted.map(\.observedAt).max()
      counted = counted.filter { $0.observedAt == newest }
      if counted.contains(where: { $0.outcome == .fail }) { counted = counted.filter { $0.outcome == .fail } }
      let confidence = counted.map(\.confidence).max()
      counted = Array(counted.filter { $0.confidence == confidence }.prefix(1))
    }
    var sum = (fail: 0.0, pass: 0.0)
    for result in counted {
      let age = Double(at.milliseconds - result.observedAt.milliseconds) / 86_400_000
      if result.outcome == .fail {
        sum.fail += result.confidence * pow(2, -age / concern["fail_half_life_days"].double!)
      } else {
        sum.pass +=
          result.confidence * check["sensitivity"].double! * pow(2, -age / concern["pass_half_life_days"].double!)
      }
    }
    return sum
  }

  private var scored: [JSONValue] {
    document["checks"].array.filter { document["severity_impact"][$0["severity"].string!].double! > 0 }
  }

  /// The sources that section 6 leaves out one by one.
  var leftOut: [String] {
    let checks = Set(scored.map { $0["id"].string! }).subtracting(scenario.waivers)
    return scenario.sources.filter { $0.value < 1 }.keys.sorted().filter { source in
      sums.contains { $0.key.source == source && checks.contains($0.key.check) && $0.value.fail + $0.value.pass > 0 }
    }
  }

  /// Sections 1 and 3 to 5, floors aside, for everyone but one source.
  func risk(without leftOut: String? = nil) -> Risk {
    var risk = Risk(base: 0, low: 0, high: 0, coverage: 0, isSufficient: true)
    var lambdaSum = 0.0
    var variance = 0.0
    var impactSum = 0.0
    for (name, concern) in document["concerns"].members {
      var concernLambda = 0.0
      var coverage = 0.0
      let checks = scored.filter { $0["concern"].string == name }
      let severities = checks.map { document["severity_impact"][$0["severity"].string!].double! }
      let impact = concern["impact"].double!
      let prior = -log(1 - impact * concern["base_rate"].double!)
      for (check, severity) in zip(checks, severities) {
        let share = severity / severities.reduce(0, +)
        let theta0 = (1 - exp(-share * prior)) / (impact * severity)
        let (theta, evidence, kappa) = theta(check, theta0, without: leftOut)
        let lambda = -log(1 - impact * severity * theta)
        risk.theta[check["id"].string!] = theta
        risk.lambda[check["id"].string!] = lambda
        concernLambda += lambda
        let slope = impact * severity / (1 - impact * severity * theta)
        variance += slope * slope * theta * (1 - theta) / (kappa + evidence + 1)
        if evidence >= document["sufficiency"]["min_evidence"].double! - 1e-9 { coverage += share }
      }
      risk.concernScore[name] = 100 * (1 - exp(-concernLambda))
      lambdaSum += concernLambda
      risk.coverage += impact * coverage
      impactSum += impact
      if coverage < document["sufficiency"]["min_concern_coverage"].double! - 1e-9 { risk.isSufficient = false }
    }
    risk.coverage /= impactSum
    if risk.coverage < document["sufficiency"]["min_coverage"].double! - 1e-9 { risk.isSufficient = false }
    risk.base = 100 * (1 - exp(-lambdaSum))
    let spread = log(1 + variance / (lambdaSum * lambdaSum))
    let edge = document["z"].double! * sqrt(spread)
    risk.low = 100 * (1 - exp(-exp(log(lambdaSum) - spread / 2 - edge)))
    risk.high = 100 * (1 - exp(-exp(log(lambdaSum) - spread / 2 + edge)))
    return risk
  }

  private func theta(
    _ check: JSONValue, _ theta0: Double, without leftOut: String?
  ) -> (theta: Double, evidence: Double, kappa: Double) {
    let kappa = document["kappa"][check["kind"].string!].double!
    let evasion = document["evasion"][check["kind"].string!].double!
    let saturation = document["saturation"].double!
    let id = check["id"].string!
    if scenario.waivers.contains(id) { return (theta0, 0, kappa) }
    var targets: [Target: (fail: Double, pass: Double)] = [:]
    for (place, sum) in sums where place.check == id && place.source != leftOut && sum.fail + sum.pass > 0 {
      let weight = scenario.sources[place.source]! * saturation / (saturation + sum.fail + sum.pass)
      targets[place.target, default: (0, 0)].fail += weight * sum.fail
      targets[place.target, default: (0, 0)].pass += weight * sum.pass
    }
    if targets.isEmpty { return (theta0, 0, kappa) }
    let seen = targets.values.map { $0.fail / (kappa + $0.fail + $0.pass) }.max()!
    let unseen = max(evasion * theta0, kappa * theta0 / (kappa + targets.values.map(\.pass).max()!))
    return (1 - (1 - seen) * (1 - unseen), targets.values.map { $0.fail + $0.pass }.max()!, kappa)
  }
}
