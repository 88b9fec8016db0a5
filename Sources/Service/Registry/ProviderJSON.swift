import JSON

extension Provider.Details {
  /// Reads a registration and collects every fault.
  init(_ fields: inout JSONFields) throws(JSONFaults) {
    let slug = fields.required("slug") { field in
      let text = try field.string()
      return try Slug(text)
    }
    let name = fields.required("name") { try $0.string(bytesMin: 1, bytesMax: 200) }
    let hosts = fields.required("hosts") { try Self.hosts($0) }
    let endpoints = fields.optional("endpoints") { try $0.array(count: 0...50, Provider.Endpoint.init) }
    let legalEntity = fields.optional("legal_entity", Provider.LegalEntity.init)
    let regions = fields.optional("declared_regions") { field in
      try field.array(count: 0...250) { try $0.string(bytesMin: 1, bytesMax: 64) }
    }
    let models = fields.optional("claimed_models") { field in
      try field.array(count: 0...500) { try $0.string(bytesMin: 1, bytesMax: 128) }
    }
    let software = fields.optional("software") { try $0.string(bytesMax: 200) }
    let contact = fields.optional("contact") { try $0.string(bytesMax: 500) }
    let badge = fields.optional("public_badge") { try $0.bool() }
    let tags = fields.optional("tags") { field in
      try field.array(count: 0...50) { try $0.string(bytesMin: 1, bytesMax: 64) }
    }
    let notes = fields.optional("notes") { try $0.string(bytesMax: 10_000) }
    try fields.finish()
    self.init(
      slug: slug!, name: name!, hosts: hosts!, endpoints: endpoints ?? [], legalEntity: legalEntity,
      declaredRegions: regions ?? [], claimedModels: models ?? [], software: software, contact: contact,
      publicBadge: badge ?? false, tags: tags ?? [], notes: notes)
  }

  private static func hosts(_ field: JSONField) throws -> [Host] {
    let hosts = try field.array(count: 1...50) { element in
      let host = try Host(try element.string())
      if PublicSuffixes.contains(host) {
        throw element.fault("is a public suffix: anyone can register under it, so it is no provider's own")
      }
      return host
    }
    var faults: [JSONFault] = []
    for (index, host) in hosts.enumerated() where hosts[..<index].contains(host) {
      faults.append(JSONFault(pointer: "\(field.pointer)/\(index)", detail: "is the same host as an earlier one"))
    }
    if !faults.isEmpty { throw JSONFaults(faults) }
    return hosts
  }
}

extension Provider.Endpoint {
  init(_ field: JSONField) throws {
    self = try field.object { fields in
      let url = fields.required("url") { field in
        let text = try field.string(bytesMin: 1, bytesMax: TargetAddress.bytesMax)
        guard text.lowercased().hasPrefix("http://") || text.lowercased().hasPrefix("https://") else {
          throw field.fault("must be an http or https URL")
        }
        _ = try TargetAddress(text)
        return text
      }
      let dialect = fields.required("dialect") { try $0.oneOf(Dialect.self) }
      try fields.finish()
      return Self(url: url!, dialect: dialect!)
    }
  }
}

extension Provider.LegalEntity {
  init(_ field: JSONField) throws {
    self = try field.object { fields in
      let name = fields.required("name") { try $0.string(bytesMin: 1, bytesMax: 200) }
      let jurisdiction = fields.optional("jurisdiction") { try CountryCode.read($0) }
      let number = fields.optional("registration_number") { try $0.string(bytesMin: 1, bytesMax: 100) }
      try fields.finish()
      return Self(name: name!, jurisdiction: jurisdiction, registrationNumber: number)
    }
  }
}

extension Provider {
  /// What a registration says, with the status: what a merge patch changes and an export holds.
  func writeRegistration(to json: inout JSONWriter) {
    json.object { writeRegistrationMembers(to: &$0) }
  }

  private func writeRegistrationMembers(to json: inout JSONWriter) {
    json.member("slug", slug.text)
    json.member("name", details.name)
    json.member("status", status.rawValue)
    json.array("hosts", details.hosts) { $0.value($1.text) }
    json.array("endpoints", details.endpoints) { $1.write(to: &$0) }
    json.name("legal_entity")
    if let entity = details.legalEntity { entity.write(to: &json) } else { json.null() }
    json.array("declared_regions", details.declaredRegions) { $0.value($1) }
    json.array("claimed_models", details.claimedModels) { $0.value($1) }
    json.member("software", details.software)
    json.member("contact", details.contact)
    json.member("public_badge", details.publicBadge)
    json.array("tags", details.tags) { $0.value($1) }
    json.member("notes", details.notes)
  }

  func write(to json: inout JSONWriter) {
    json.object { json in
      json.member("id", id.description)
      writeRegistrationMembers(to: &json)
      json.member("version", version)
      json.member("created_at", createdAt.rfc3339)
      json.member("updated_at", updatedAt.rfc3339)
    }
  }
}

extension Provider.Endpoint {
  func write(to json: inout JSONWriter) {
    json.object { json in
      json.member("url", url)
      json.member("dialect", dialect.rawValue)
    }
  }
}

extension Provider.LegalEntity {
  func write(to json: inout JSONWriter) {
    json.object { json in
      json.member("name", name)
      json.member("jurisdiction", jurisdiction)
      json.member("registration_number", registrationNumber)
    }
  }
}

extension Source {
  func write(to json: inout JSONWriter) {
    json.object { json in
      json.member("id", id.description)
      json.member("slug", slug.text)
      json.member("name", name)
      json.member("trust", trust)
      json.member("status", status.rawValue)
      json.member("version", version)
      json.member("created_at", createdAt.rfc3339)
      json.member("updated_at", updatedAt.rfc3339)
    }
  }
}
