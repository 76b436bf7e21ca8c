// A TLS server of Java's own that staples as the JDK does: GradedServer STORE.p12 PASSWORD PORT

import java.io.FileInputStream;
import java.io.InputStream;
import java.net.InetAddress;
import java.security.KeyStore;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;

public final class GradedServer {
    private GradedServer() {}

    public static void main(String[] arguments) throws Exception {
        char[] password = arguments[1].toCharArray();
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream file = new FileInputStream(arguments[0])) {
            store.load(file, password);
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(store, password);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), null, null);
        int port = Integer.parseInt(arguments[2]);
        try (SSLServerSocket listener = (SSLServerSocket)
                context.getServerSocketFactory().createServerSocket(port, 50, InetAddress.getLoopbackAddress())) {
            while (true) {
                SSLSocket client = (SSLSocket) listener.accept();
                Thread serving = new Thread(() -> serve(client));
                serving.setDaemon(true);
                serving.start();
            }
        }
    }

    private static void serve(SSLSocket client) {
        try (client) {
            client.setSoTimeout(30_000);
            client.startHandshake();
            client.getInputStream().read();
        } catch (java.io.IOException gone) {
            System.err.println(gone.getMessage());
        }
    }
}
