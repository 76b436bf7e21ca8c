/* wolfSSL as a client that offers status_request_v2 with ocsp_multi in TLS 1.2, and demands what it asks for.
 *
 *   wolfssl_client ROOT.pem
 *
 * Each line read is a port on loopback; each line written is its outcome: "ACCEPTED TLSv1.2" once the page has come,
 * or "REFUSED NUMBER WORDS".
 */
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

static int dial(int port)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&where, sizeof where) == 0)
        return fd;
    perror("connect");
    exit(2);
}

static WOLFSSL_CTX *context(const char *root)
{
    WOLFSSL_CTX *ctx = wolfSSL_CTX_new(wolfTLSv1_2_client_method());

    if (ctx != NULL && wolfSSL_CTX_load_verify_locations(ctx, root, NULL) == WOLFSSL_SUCCESS &&
        wolfSSL_CTX_EnableOCSPStapling(ctx) == WOLFSSL_SUCCESS &&
        wolfSSL_CTX_EnableOCSPMustStaple(ctx) == WOLFSSL_SUCCESS) {
        /* Debian builds it with OpenSSL's defaults, and then a client verifies nothing unless told to. */
        wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_PEER, NULL);
        return ctx;
    }
    fputs("wolfSSL takes no such context\n", stderr);
    exit(2);
}

static void visit(const char *root, int port)
{
    WOLFSSL_CTX *ctx = context(root);
    WOLFSSL *tls = wolfSSL_new(ctx);
    char page[4096] = "";
    char words[WOLFSSL_MAX_ERROR_SZ];
    int fd = dial(port);
    int code;

    wolfSSL_set_fd(tls, fd);
    wolfSSL_UseSNI(tls, WOLFSSL_SNI_HOST_NAME, "localhost", strlen("localhost"));
    wolfSSL_check_domain_name(tls, "localhost");
    if (wolfSSL_UseOCSPStaplingV2(tls, WOLFSSL_CSR2_OCSP_MULTI, 0) != WOLFSSL_SUCCESS)
        exit(2);
    if (wolfSSL_connect(tls) == WOLFSSL_SUCCESS && wolfSSL_write(tls, request, sizeof request - 1) > 0 &&
        wolfSSL_read(tls, page, sizeof page - 1) > 0 && strncmp(page, "HTTP/1.1 200 OK", 15) == 0) {
        printf("ACCEPTED %s\n", wolfSSL_get_version(tls));
        wolfSSL_shutdown(tls);
    } else {
        code = wolfSSL_get_error(tls, 0);
        printf("REFUSED %d %s\n", code, wolfSSL_ERR_error_string(code, words));
    }
    wolfSSL_free(tls);
    wolfSSL_CTX_free(ctx);
    close(fd);
}

int main(int argc, char **argv)
{
    char line[32];

    if (argc != 2)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    wolfSSL_Init();
    while (fgets(line, sizeof line, stdin) != NULL)
        visit(argv[1], atoi(line));
    wolfSSL_Cleanup();
    return 0;
}
