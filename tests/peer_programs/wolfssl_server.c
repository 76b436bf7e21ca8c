/* wolfSSL as a server of TLS 1.2 that staples: it asks the responders that its certificates name, within the handshake.
 *
 *   wolfssl_server CHAIN.pem KEY.pem ISSUERS.pem
 *
 * ISSUERS.pem has the chain's CAs, root included: with them it makes the requests and checks what comes. For each line
 * read, two are written: the port that waits for one client, and once it has come and gone "SERVED TLSv1.2" or
 * "FAILED NUMBER WORDS".
 */
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_S 30

static const char page[] = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nwolfSSL";

static void fail(const char *what)
{
    perror(what);
    exit(2);
}

static int listen_on_loopback(void)
{
    struct sockaddr_in where = {.sin_family = AF_INET};
    socklen_t size = sizeof where;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&where, sizeof where) != 0 || listen(fd, 1) != 0 ||
        getsockname(fd, (struct sockaddr *)&where, &size) != 0)
        fail("listen");
    printf("%d\n", ntohs(where.sin_port));
    return fd;
}

static int accept_one(void)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int listener = listen_on_loopback();
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    int fd = poll(&waiting, 1, PATIENCE_S * 1000) == 1 ? accept(listener, NULL, NULL) : -1;

    close(listener);
    if (fd < 0)
        fail("accept");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

static WOLFSSL_CTX *context(char **files)
{
    WOLFSSL_CTX *ctx = wolfSSL_CTX_new(wolfTLSv1_2_server_method());

    if (ctx != NULL && wolfSSL_CTX_use_certificate_chain_file(ctx, files[0]) == WOLFSSL_SUCCESS &&
        wolfSSL_CTX_use_PrivateKey_file(ctx, files[1], WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS &&
        wolfSSL_CTX_load_verify_locations(ctx, files[2], NULL) == WOLFSSL_SUCCESS &&
        wolfSSL_CTX_EnableOCSPStapling(ctx) == WOLFSSL_SUCCESS &&
        wolfSSL_CTX_EnableOCSP(ctx, WOLFSSL_OCSP_NO_NONCE) == WOLFSSL_SUCCESS)
        return ctx;
    fputs("wolfSSL takes no such context\n", stderr);
    exit(2);
}

static void serve_one(char **files)
{
    WOLFSSL_CTX *ctx = context(files); /* a new one forgets what was fetched for another client */
    int fd = accept_one();
    WOLFSSL *tls = wolfSSL_new(ctx);
    char request[4096];
    char words[WOLFSSL_MAX_ERROR_SZ];
    int code;

    wolfSSL_set_fd(tls, fd);
    if (wolfSSL_accept(tls) == WOLFSSL_SUCCESS && wolfSSL_read(tls, request, sizeof request) > 0 &&
        wolfSSL_write(tls, page, sizeof page - 1) > 0) {
        printf("SERVED %s\n", wolfSSL_get_version(tls));
        wolfSSL_shutdown(tls);
    } else {
        code = wolfSSL_get_error(tls, 0);
        printf("FAILED %d %s\n", code, wolfSSL_ERR_error_string(code, words));
    }
    wolfSSL_free(tls);
    wolfSSL_CTX_free(ctx);
    close(fd);
}

int main(int argc, char **argv)
{
    char line[32];

    if (argc != 4)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    wolfSSL_Init();
    while (fgets(line, sizeof line, stdin) != NULL)
        serve_one(argv + 1);
    wolfSSL_Cleanup();
    return 0;
}
