import JSON

extension Provider {
  /// What scores say of their provider.
  func writeReference(to json: inout JSONWriter) {
    json.member("id", id.description)
    json.member("slug", slug.text)
    json.member("name", details.name)
    json.member("status", status.rawValue)
  }
}

extension Standing {
  /// Whether there is enough of it.
  var evidence: String { isSufficient ? "sufficient" : "insufficient" }

  /// The members of an entry of a list of scores.
  func write(of provider: Provider, to json: inout JSONWriter, only fields: ScoreFields = .all) {
    if fields.has(.provider) { json.object("provider") { provider.writeReference(to: &$0) } }
    if fields.has(.score) { json.member("score", score) }
    if fields.has(.provisionalScore) { json.member("provisional_score", provisionalScore) }
    if fields.has(.grade) { json.member("grade", grade) }
    if fields.has(.verdict) { json.member("verdict", verdict.rawValue) }
    if fields.has(.evidence) { json.member("evidence", evidence) }
    if fields.has(.coverage) { json.member("coverage", coverage) }
    if fields.has(.evaluatedAt) { json.member("evaluated_at", evaluatedAt.rfc3339) }
    guard fields.has(.concerns) else { return }
    json.array("concerns", concerns) { json, concern in
      json.object { json in
        json.member("concern", concern.id)
        json.member("score", concern.score)
        json.member("critical", concern.critical.rawValue)
      }
    }
  }
}

extension PublishedScore {
  /// An entry of the list of changes.
  static func body(of provider: Provider, _ standing: Standing, etag: String) -> String {
    var json = JSONWriter(reservingBytes: 1_024)
    json.object { json in
      standing.write(of: provider, to: &json)
      json.array("hosts", provider.details.hosts) { $0.value($1.text) }
      json.member("etag", etag)
    }
    return String(decoding: json.bytes, as: UTF8.self)
  }
}
