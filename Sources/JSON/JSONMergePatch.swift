extension JSONValue {
  /// What a merge patch (RFC 7396) makes of the value.
  ///
  /// A member that the patch takes away stays as null instead of disappearing: `JSONFields` reads both alike, but a
  /// null under a name that nothing knows can then still be called a fault.
  public func merging(_ patch: JSONValue) -> JSONValue {
    guard case .object(let changes) = patch else { return patch }
    var members: [(name: String, value: JSONValue)] = []
    if case .object(let own) = self { members = own.members }
    for change in changes.members {
      if let index = members.firstIndex(where: { $0.name == change.name }) {
        members[index].value = members[index].value.merging(change.value)
      } else {
        members.append((change.name, JSONValue.null.merging(change.value)))
      }
    }
    return .object(JSONObject(members: members))
  }
}
