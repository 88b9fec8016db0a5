import HTTPServer
import JSON

/// `/v1/score-simulations`: what a score would be, if.
struct SimulationRoutes {
  let service: RiskService

  var endpoints: [Endpoint] {
    [
      Endpoint(
        method: .post, pattern: "/v1/score-simulations", requirement: .scopes([.scoresRead]),
        bodyBytesMax: ProbeResultRoutes.batchBytesMax, contentTypes: ["application/json"], isTranslated: true,
        isQuestion: true, handler: .async(simulate))
    ]
  }

  @Sendable private func simulate(_ call: Call) async throws -> Response {
    let parts = service.parts
    let now = parts.clock.now()
    let (body, caller, language) = (call.request.body, call.caller, call.language)
    let answer = try await service.computing {
      let request = try SimulationRequest(body, by: caller, parts, now: now)
      return try await ScoreSimulation(request: request, parts: parts, language: language, now: now).run()
    }
    return .json(answer)
  }
}
