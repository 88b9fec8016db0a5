/// The languages of titles and sentences.
public enum Language: String, Sendable, CaseIterable {
  case english = "en"
  case chinese = "zh"

  /// The language that `Accept-Language` asks for first, by the lookup of RFC 4647, section 3.4: `zh-Hans-CN` leads to
  /// Chinese, as a range is cut from its end until it fits. English when it asks for nothing there is.
  /// - Parameter fields: every `Accept-Language` line.
  init(acceptedBy fields: [String]) {
    var best = (language: Language.english, weight: 0)
    for range in Preferences(fields).items where range.weight > best.weight {
      let primary = range.value.prefix { $0 != "-" }
      if let language = Language(rawValue: String(primary)) { best = (language, range.weight) }
    }
    self = best.language
  }
}

extension RequestHead {
  /// The language the client wants titles and sentences in.
  public var language: Language { Language(acceptedBy: headers.all("Accept-Language")) }
}
