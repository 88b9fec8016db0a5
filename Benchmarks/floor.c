/* The floor that reads are measured against: libmicrohttpd answering every request with one response from memory.
 *
 * As the service runs it: a daemon a thread, each driven from outside by epoll, the port shared by SO_REUSEPORT, the
 * answer in the last call of the handler, one prepared response for all. Nothing else: no route, no key, no log.
 *
 * usage: floor PORT THREADS BODY-FILE [HEADER-NAME HEADER-VALUE]...
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct MHD_Response *response;
static int port;

static enum MHD_Result answer(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *data, size_t *size, void **state) {
  static int seen;
  (void)cls, (void)url, (void)method, (void)version, (void)data;
  if (!*state) {
    *state = &seen;
    return MHD_YES;
  }
  if (*size) {
    *size = 0;
    return MHD_YES;
  }
  return MHD_queue_response(connection, 200, response);
}

static int listening(void) {
  int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(descriptor, (struct sockaddr *)&address, sizeof address) || listen(descriptor, 511)) {
    perror("floor");
    exit(1);
  }
  return descriptor;
}

static void *serve(void *unused) {
  (void)unused;
  struct MHD_Daemon *daemon =
      MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, answer, NULL, MHD_OPTION_LISTEN_SOCKET, listening(),
                       MHD_OPTION_CONNECTION_TIMEOUT, 15u, MHD_OPTION_END);
  if (!daemon) exit(1);
  int poller = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
  int waiter = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  epoll_ctl(waiter, EPOLL_CTL_ADD, poller, &event);
  for (;;) {
    MHD_UNSIGNED_LONG_LONG milliseconds;
    int has = MHD_get_timeout(daemon, &milliseconds) == MHD_YES;
    epoll_wait(waiter, &event, 1, has ? (int)milliseconds : -1);
    MHD_run(daemon);
  }
}

int main(int count, char **words) {
  if (count < 4) return 2;
  signal(SIGPIPE, SIG_IGN);
  port = atoi(words[1]);
  FILE *file = fopen(words[3], "rb");
  if (!file) return 2;
  static char body[1 << 20];
  size_t length = fread(body, 1, sizeof body, file);
  response = MHD_create_response_from_buffer(length, body, MHD_RESPMEM_PERSISTENT);
  for (int word = 4; word + 1 < count; word += 2) MHD_add_response_header(response, words[word], words[word + 1]);
  int threads = atoi(words[2]);
  pthread_t thread;
  for (int number = 0; number < threads; number++) pthread_create(&thread, NULL, serve, NULL);
  pthread_join(thread, NULL);
}
