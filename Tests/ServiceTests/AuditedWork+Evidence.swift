import Foundation
import TestHarness
import Testing

@testable import Service

/// Changes of decisions, evidence and methodologies.
extension AuditedWork {
  var decisions: [Step] {
    let (waivers, incidents) = ("/v1/providers/acme/waivers", "/v1/providers/acme/incidents")
    return [
      Step("a check is waived") {
        let expiry = (Service.Clock.system.now() + 86_400_000).rfc3339
        let answer = try await client.post(
          waivers, object: ["check": "encryption.hsts-missing", "reason": "R", "expires_at": expiry])
        let provider = try await id("/v1/providers/acme")
        return (
          answer,
          [
            Expected(
              action: "waiver.create", object: answer.json["id"].string,
              after: ["provider_id": provider, "reason": "R", "expires_at": expiry])
          ]
        )
      },
      Step("a waiver is revoked") {
        let waiver = try #require(try await client.get(waivers).json["items"][0]["id"].string)
        return (
          try await client.send("DELETE", "\(waivers)/\(waiver)?note=N"),
          [
            Expected(
              action: "waiver.revoke", object: waiver, before: ["revoked_note": NSNull()],
              after: ["revoked_note": "N"])
          ]
        )
      },
      Step("an incident is opened") {
        let answer = try await client.post(incidents, #"{"concern":"encryption","summary":"S"}"#)
        return (
          answer,
          [Expected(action: "incident.open", object: answer.json["id"].string, after: ["concern": "encryption"])]
        )
      },
      Step("an incident is closed") {
        let incident = try #require(try await client.get(incidents).json["items"][0]["id"].string)
        return (
          try await client.post("\(incidents)/\(incident)/close", #"{"note":"N"}"#),
          [
            Expected(
              action: "incident.close", object: incident, before: ["closed_by": NSNull()],
              after: ["closed_note": "N"])
          ]
        )
      },
    ]
  }

  private func post(_ externalID: String) async throws -> Answer {
    try await client.post(
      "/v1/probe-results",
      object: Posting.result(["source": "lab", "external_id": externalID, "evidence": ["found": "ev-idence"]]))
  }

  private func result(_ externalID: String) async throws -> String {
    let results = try await client.get("/v1/providers/acme/probe-results").json["items"].array
    return try #require(results.first { $0["external_id"].string == externalID }?["id"].string)
  }

  private func dispute(_ externalID: String) async throws -> String {
    let result = try await result(externalID)
    let disputes = try await client.get("/v1/disputes").json["items"].array
    return try #require(disputes.first { $0["result"].string == result }?["id"].string)
  }

  var evidence: [Step] {
    let posts: [Step] = ["1", "2", "3", "4"].map { number in
      Step("a result is posted") { (try await post(number), []) }
    }
    let disputes: [Step] = ["1", "2"].map { number in
      Step("a dispute is opened") {
        let result = try await result(number)
        let answer = try await client.post("/v1/disputes", object: ["result": result, "reason": "R"])
        return (
          answer,
          [
            Expected(
              action: "dispute.open", object: answer.json["id"].string, after: ["result": result, "status": "open"])
          ]
        )
      }
    }
    return posts + disputes + [
      Step("a dispute is rejected") {
        let dispute = try await dispute("1")
        return (
          try await client.patch("/v1/disputes/\(dispute)", #"{"status":"rejected","note":"N"}"#),
          [
            Expected(
              action: "dispute.reject", object: dispute, before: ["status": "open", "note": NSNull()],
              after: ["status": "rejected", "note": "N"])
          ]
        )
      },
      Step("a dispute is upheld, and its result void") {
        let (dispute, result) = (try await dispute("2"), try await result("2"))
        return (
          try await client.patch("/v1/disputes/\(dispute)", #"{"status":"upheld","note":"N"}"#),
          [
            Expected(
              action: "dispute.uphold", object: dispute, before: ["status": "open"], after: ["status": "upheld"]),
            Expected(
              action: "result.void", object: result, after: ["reason": "The dispute \(dispute) was upheld."]),
          ]
        )
      },
      Step("a result is voided") {
        let result = try await result("3")
        return (
          try await client.post("/v1/probe-results/\(result)/void", #"{"reason":"R"}"#),
          [Expected(action: "result.void", object: result, after: ["reason": "R"])]
        )
      },
      Step("results are voided together") {
        let source = try await id("/v1/sources/lab")
        return (
          try await client.post("/v1/probe-results/void", #"{"reason":"R","source":"lab"}"#),
          [
            Expected(
              action: "results.void", object: nil,
              after: ["reason": "R", "source_id": source, "run_id": NSNull(), "voided": 2])
          ]
        )
      },
      Step("a result's evidence is erased") {
        let (result, provider) = (try await result("4"), try await id("/v1/providers/acme"))
        return (
          try await client.post("/v1/probe-results/\(result)/erase-evidence", #"{"reason":"R"}"#),
          [
            Expected(
              action: "result.erase_evidence", object: result, after: ["reason": "R", "provider_id": provider])
          ]
        )
      },
      Step("the evidence of results is erased together") {
        let provider = try await id("/v1/providers/acme")
        return (
          try await client.post("/v1/probe-results/erase-evidence", #"{"reason":"R","provider":"acme"}"#),
          [
            Expected(
              action: "results.erase_evidence", object: nil,
              after: ["reason": "R", "provider_id": provider, "source_id": NSNull(), "erased": 3])
          ]
        )
      },
    ]
  }

  var methodologies: [Step] {
    let other = "rm-try"
    func status(_ id: String, _ before: String, _ after: String) -> Expected {
      Expected(action: "methodology.update", object: id, before: ["status": before], after: ["status": after])
    }
    return [
      Step("a methodology is added") {
        (
          try await client.post("/v1/methodologies", MethodologyLifeTests.lenient),
          [Expected(action: "methodology.create", object: other, after: ["status": "draft", "complete": false])]
        )
      },
      Step("a methodology becomes a shadow, and is complete") {
        (
          try await client.patch("/v1/methodologies/\(other)", #"{"status":"shadow"}"#),
          [
            status(other, "draft", "shadow"),
            Expected(
              action: "methodology.complete", object: other, before: ["complete": false], after: ["complete": true]),
          ]
        )
      },
      Step("a methodology becomes active, and the one before a shadow") {
        (
          try await client.patch("/v1/methodologies/\(other)", #"{"status":"active"}"#),
          [status("rm-1", "active", "shadow"), status(other, "shadow", "active")]
        )
      },
    ]
  }
}
