import RiskModel

/// What a liar can do: each row is one relay as honest sources see it, before and after somebody else's results.
func attackTable(_ methodology: Methodology) -> String {
  let relays = Relays(methodology)
  var rows: [[String]] = []
  func row(_ attack: String, on name: String, _ before: Observations, _ change: (inout Observations) -> Void) {
    var after = before
    change(&after)
    rows.append([attack, name, summary(before.assess()), summary(after.assess())])
  }
  let (clean, bad, caught, silent) = (relays.clean, relays.bad, relays.caught, relays.silent)

  row("one liar, trust 0.8, fails every check", on: "clean", clean) { $0.add("mallory", 0.8, .fail) }
  row("the same, 10,000 times", on: "clean", clean) { $0.add("mallory", 0.8, .fail, times: 10_000) }
  row("one liar fails one critical check 10,000 times", on: "clean", clean) {
    $0.add("mallory", 0.8, .fail, only: "backdoor.tool-call-rewrite", times: 10_000)
  }
  row("two colluders, trust 0.8 each, fail every check", on: "clean", clean) {
    $0.add("mallory", 0.8, .fail)
    $0.add("trudy", 0.8, .fail)
  }
  row("a source of trust 1 fails every check", on: "clean", clean) { $0.add("root", 1, .fail) }
  row("a new source, trust 0.1, fails every check", on: "clean", clean) { $0.add("rookie", 0.1, .fail) }
  row("fails of every check that are a year old, posted now", on: "clean", clean) {
    $0.add("mallory", 0.8, .fail, daysAgo: 365)
  }

  row("one whitewasher, trust 0.8, passes every check", on: "bad", bad) { $0.add("mallory", 0.8, .pass) }
  row("the same, 10,000 times", on: "bad", bad) { $0.add("mallory", 0.8, .pass, times: 10_000) }
  row("two colluders, trust 0.8 each, pass every check 10,000 times", on: "bad", bad) {
    $0.add("mallory", 0.8, .pass, times: 10_000)
    $0.add("trudy", 0.8, .pass, times: 10_000)
  }
  row("a new source, trust 0.1, passes every check 10,000 times", on: "bad", bad) {
    $0.add("rookie", 0.1, .pass, times: 10_000)
  }
  row("passes of every check that are a year old, posted now", on: "bad", bad) {
    $0.add("mallory", 0.8, .pass, daysAgo: 365)
  }
  row("two colluders, trust 0.8 each, pass every check 10,000 times", on: "caught", caught) {
    $0.add("mallory", 0.8, .pass, times: 10_000)
    $0.add("trudy", 0.8, .pass, times: 10_000)
  }
  row("nobody probes it for another 60 days", on: "caught", caught) { $0 = $0.later(days: 60) }

  row("one whitewasher, trust 0.8, passes every check 10,000 times", on: "unprobed", silent) {
    $0.add("mallory", 0.8, .pass, times: 10_000)
  }
  for times in [1, 10_000] {
    row("two colluders, trust 0.8 each, pass every check\(times > 1 ? " 10,000 times" : "")", on: "unprobed", silent) {
      $0.add("mallory", 0.8, .pass, times: times)
      $0.add("trudy", 0.8, .pass, times: times)
    }
  }
  for isNamed in [true, false] {
    let attack = "of 21 models one is swapped; results \(isNamed ? "name" : "do not name") the model"
    row(attack, on: "clean", clean) {
      let check = "substitution.fingerprint-distribution"
      for source in Relays.honest {
        for model in 1...21 {
          $0.add(
            source, 0.8, model == 21 ? .fail : .pass, only: check, model: isNamed ? "model-\(model)" : nil, times: 10)
        }
      }
    }
  }
  return table(["what is done", "relay", "before", "after"], rows)
}

private func summary(_ assessment: Assessment) -> String {
  let score = "\(short(assessment.score)) (\(short(assessment.robustLow)) to \(short(assessment.robustHigh)))"
  return "\(score) **\(assessment.verdict.rawValue)**"
}

/// The relays that the attacks are tried on: what three honest sources of trust 0.8 saw on each of the last ten days.
private struct Relays {
  static let honest = ["ash", "birch", "cedar"]

  let silent, clean, bad, caught: Observations

  init(_ methodology: Methodology) {
    let now = Instant(milliseconds: 1_796_000_000_000)
    silent = Observations(methodology: methodology, sources: [:], at: now)
    var seen = silent
    for day in 0..<10 {
      for source in Self.honest { seen.add(source, 0.8, .pass, daysAgo: day) }
    }
    clean = seen
    bad = clean.failing { $0.concernID == "substitution" && $0.kind == .sample }
    caught = bad.failing { $0.id == "backdoor.tool-call-rewrite" }
  }
}

extension Observations {
  /// A source reports an outcome of every scored check, or of one.
  fileprivate mutating func add(
    _ source: String, _ trust: Double, _ outcome: Outcome, only id: String? = nil, model: String? = nil,
    daysAgo days: Int = 0, times: Int = 1
  ) {
    sources[source] = trust
    let seenAt = Instant(milliseconds: at.milliseconds - Int64(days) * 86_400_000)
    for check in methodology.checks where check.isScored && id ?? check.id == check.id {
      results.append(
        Result(
          source: source, check: check.id, target: Target(address: "relay.example", model: model), outcome: outcome,
          at: seenAt, times: times))
    }
  }

  /// The same with fails in place of passes of some checks.
  fileprivate func failing(_ isFailing: (Check) -> Bool) -> Observations {
    var changed = self
    changed.results = results.map { result in
      let check = methodology.checks[methodology.checkIndex(result.check)!]
      return isFailing(check)
        ? Result(source: result.source, check: result.check, target: result.target, outcome: .fail, at: result.at)
        : result
    }
    return changed
  }

  fileprivate func later(days: Int) -> Observations {
    Observations(
      methodology: methodology, sources: sources, results: results,
      at: Instant(milliseconds: at.milliseconds + Int64(days) * 86_400_000))
  }
}
