import Foundation
import TestHarness
import Testing

@testable import Service

/// `relayrisk score`: the document from its inputs alone.
@Suite(.serialized) struct OfflineScoreTests {
  @Test func theInputsGiveTheSameBytes() async throws {
    try await withRegisteredRelay { instance in
      _ = try await instance.client.post("/v1/sources", #"{"slug":"soc","name":"S","trust":1}"#)
      try await VerificationTests.post(300, to: instance.client)
      for check in ["backdoor.tool-call-rewrite", "encryption.hsts-missing"] {
        let posted = try await instance.client.post(
          "/v1/probe-results", object: Posting.result(check: check, ["source": "soc"]))
        #expect(posted.status == 201)
      }
      let expiry = (Service.Clock.system.now() + 86_400_000).rfc3339
      let waiver = try await instance.client.post(
        "/v1/providers/acme/waivers",
        #"{"check":"encryption.legacy-tls-protocol","reason":"x","expires_at":"\#(expiry)"}"#)
      let incident = try await instance.client.post(
        "/v1/providers/acme/incidents", #"{"concern":"crossborder","summary":"x"}"#)
      #expect(waiver.status == 201 && incident.status == 201)
      let now = Service.Clock.system.now()
      for instant in [now, now + -7_200_000, now + -90 * 3_600_000] {
        let query = "as_of=\(instant.rfc3339)"
        let inputs = try await instance.client.get("/v1/providers/acme/score/inputs?\(query)")
        let score = try await instance.client.get("/v1/providers/acme/score?detail=full&\(query)")
        let offline = try OfflineScore.document(inputs: [UInt8](inputs.body), methodology: nil)
        #expect(offline == [UInt8](score.body), "\(query)")
        let shipped = ShippedFiles.bytes("catalogue/rm-1.json")
        #expect(try OfflineScore.document(inputs: [UInt8](inputs.body), methodology: shipped) == offline)
      }
    }
  }

  private static let hash = try! Catalogue().scoringMethodology.hash

  private func faults(_ inputs: String, methodology: [UInt8]? = nil) -> OfflineScore.Fault? {
    do {
      _ = try OfflineScore.document(inputs: Array(inputs.utf8), methodology: methodology)
      return nil
    } catch {
      return error as? OfflineScore.Fault
    }
  }

  @Test func everyFaultOfTheInputIsNamed() throws {
    let wrong = """
      {"methodology":"rm-2","methodology_hash":"00","at":"yesterday","sources":{"lab":0,"soc":1.5,"a":"b"},
       "incidents":["weather"],"waivers":[7,"none.such"],"surprise":1,"provider":{"id":"1"},
       "results":[{"source":"lab","check":"none.such","target":"","outcome":"maybe","observed_at":"x","confidence":0},
                  {"source":"lab"}, 3]}
      """
    guard case .invalid("input", let faults) = faults(wrong) else { throw CocoaError(.featureUnsupported) }
    #expect(
      Set(faults.map(\.pointer)) == [
        "/methodology", "/methodology_hash", "/at", "/sources/lab", "/sources/soc", "/sources/a", "/incidents/0",
        "/waivers/0", "/waivers/1", "/surprise", "/provider/slug", "/provider/name", "/provider/status",
        "/results/0/check", "/results/0/target", "/results/0/outcome", "/results/0/observed_at",
        "/results/0/confidence", "/results/1/check", "/results/1/target", "/results/1/outcome",
        "/results/1/observed_at", "/results/2",
      ])
    #expect(self.faults(wrong)!.description.contains("\n  /results/0/outcome must be one of"))
    let stranger = """
      {"methodology":"rm-1","methodology_hash":"\(Self.hash)","at":"2026-11-23T08:00:00Z","sources":{},
       "results":[{"source":"lab","check":"encryption.hsts-missing","target":"a","outcome":"fail",
                   "observed_at":"2026-11-23T08:00:00Z"}]}
      """
    guard case .invalid("input", let missing) = self.faults(stranger) else { throw CocoaError(.featureUnsupported) }
    #expect(missing.map(\.pointer) == ["/results/0/source"])
  }

  @Test func whatIsNoJSONIsSaidToBeSuch() {
    guard case .unreadable("input", _) = faults("{") else { Issue.record("the input was read"); return }
    guard case .unreadable("methodology", _) = faults("{}", methodology: Array("[".utf8)) else {
      Issue.record("the methodology was read"); return
    }
    guard case .invalid("methodology", let faults) = faults("{}", methodology: Array("{}".utf8)) else {
      Issue.record("the methodology was accepted"); return
    }
    #expect(faults.count > 5)
  }

  @Test func resultsAfterTheInstantAndWithoutAProviderAreAllowed() throws {
    let inputs = """
      {"methodology":"rm-1","methodology_hash":"\(Self.hash)","at":"2026-11-23T08:00:00Z","sources":{"lab":0.5},
       "results":[{"source":"lab","check":"encryption.hsts-missing","target":"a","outcome":"fail",
                   "observed_at":"2026-11-23T08:00:00.001Z"}]}
      """
    let document = JSON(
      try JSONSerialization.jsonObject(
        with: Data(try OfflineScore.document(inputs: Array(inputs.utf8), methodology: nil))))
    #expect(document["verdict"].string == "unknown" && document["reasons"].array.isEmpty)
    #expect(document["checks"].array.count == 59 && document["provider"].isNull)
  }
}
