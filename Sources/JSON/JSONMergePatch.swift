extension JSONValue {
  /// The value after a merge patch (RFC 7396): members of an object are replaced one by one, null removes, and what is
  /// no object replaces the whole.
  public func applying(mergePatch patch: JSONValue) -> JSONValue {
    guard case .object(let changes) = patch else { return patch }
    var members: [(name: String, value: JSONValue)] = []
    if case .object(let object) = self { members = object.members }
    for change in changes.members {
      let index = members.firstIndex { $0.name == change.name }
      if case .null = change.value {
        if let index { members.remove(at: index) }
      } else if let index {
        members[index].value = members[index].value.applying(mergePatch: change.value)
      } else {
        members.append((change.name, JSONValue.null.applying(mergePatch: change.value)))
      }
    }
    return .object(JSONObject(members: members))
  }
}
