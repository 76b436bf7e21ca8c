// Bouncy Castle's low-level TLS server, which staples what it is told: any responses, in any order and number.
//
//   java -cp CLASSES:bctls.jar:bcutil.jar:bcprov.jar BouncyServer CHAIN.pem KEY.der
//
// KEY.der is PKCS#8 with an elliptic curve. Each line read is "PROTOCOL TYPE RESPONSE…"; TYPE is the status type of
// TLS 1.2 ("ocsp", "ocsp_multi"), "entries" in TLS 1.3 or "nothing"; each RESPONSE is base64, or "-" for an empty one.
// For each line two are written: the port that waits for one client, and once it has come and gone "SERVED" or
// "FAILED REASON".

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Hashtable;
import java.util.List;
import java.util.Vector;
import org.bouncycastle.asn1.ocsp.OCSPResponse;
import org.bouncycastle.crypto.params.AsymmetricKeyParameter;
import org.bouncycastle.crypto.util.PrivateKeyFactory;
import org.bouncycastle.tls.Certificate;
import org.bouncycastle.tls.CertificateEntry;
import org.bouncycastle.tls.CertificateStatus;
import org.bouncycastle.tls.CertificateStatusType;
import org.bouncycastle.tls.CipherSuite;
import org.bouncycastle.tls.DefaultTlsServer;
import org.bouncycastle.tls.HashAlgorithm;
import org.bouncycastle.tls.ProtocolVersion;
import org.bouncycastle.tls.SignatureAlgorithm;
import org.bouncycastle.tls.SignatureAndHashAlgorithm;
import org.bouncycastle.tls.TlsCredentialedSigner;
import org.bouncycastle.tls.TlsCredentials;
import org.bouncycastle.tls.TlsExtensionsUtils;
import org.bouncycastle.tls.TlsServerProtocol;
import org.bouncycastle.tls.TlsUtils;
import org.bouncycastle.tls.crypto.TlsCertificate;
import org.bouncycastle.tls.crypto.TlsCryptoParameters;
import org.bouncycastle.tls.crypto.impl.bc.BcDefaultTlsCredentialedSigner;
import org.bouncycastle.tls.crypto.impl.bc.BcTlsCrypto;

public final class BouncyServer extends DefaultTlsServer {
    private static final int TIMEOUT_MS = 30_000;
    private static final SignatureAndHashAlgorithm SIGNATURE =
            SignatureAndHashAlgorithm.getInstance(HashAlgorithm.sha256, SignatureAlgorithm.ecdsa);
    private static final String PAGE = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nBouncy";

    private final BcTlsCrypto crypto;
    private final TlsCertificate[] chain;
    private final AsymmetricKeyParameter key;
    private final ProtocolVersion version;
    private final String type;
    private final List<OCSPResponse> responses = new ArrayList<>();

    private BouncyServer(BcTlsCrypto crypto, TlsCertificate[] chain, AsymmetricKeyParameter key, String[] words) {
        super(crypto);
        this.crypto = crypto;
        this.chain = chain;
        this.key = key;
        this.version = words[0].equals("TLSv1.3") ? ProtocolVersion.TLSv13 : ProtocolVersion.TLSv12;
        this.type = words[1];
        for (int word = 2; word < words.length; word++) {
            boolean empty = words[word].equals("-");
            responses.add(empty ? null : OCSPResponse.getInstance(Base64.getDecoder().decode(words[word])));
        }
    }

    public static void main(String[] arguments) throws Exception {
        BcTlsCrypto crypto = new BcTlsCrypto(new SecureRandom());
        List<TlsCertificate> chain = new ArrayList<>();
        try (InputStream pem = Files.newInputStream(Path.of(arguments[0]))) {
            for (java.security.cert.Certificate each : CertificateFactory.getInstance("X.509").generateCertificates(pem)) {
                chain.add(crypto.createCertificate(each.getEncoded()));
            }
        }
        AsymmetricKeyParameter key = PrivateKeyFactory.createKey(Files.readAllBytes(Path.of(arguments[1])));
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
        for (String order; (order = orders.readLine()) != null; ) {
            TlsCertificate[] sent = chain.toArray(new TlsCertificate[0]);
            System.out.println(new BouncyServer(crypto, sent, key, order.split(" ")).serveOne());
        }
    }

    private String serveOne() {
        try (ServerSocket listener = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            listener.setSoTimeout(TIMEOUT_MS);
            System.out.println(listener.getLocalPort());
            try (Socket plain = listener.accept()) {
                plain.setSoTimeout(TIMEOUT_MS);
                TlsServerProtocol tls = new TlsServerProtocol(plain.getInputStream(), plain.getOutputStream());
                tls.accept(this);
                BufferedReader request = new BufferedReader(new InputStreamReader(tls.getInputStream(), US_ASCII));
                for (String line; (line = request.readLine()) != null; ) {
                    if (line.isEmpty()) {
                        tls.getOutputStream().write(PAGE.getBytes(US_ASCII));
                        break;
                    }
                }
                tls.close();
                return "SERVED";
            }
        } catch (Exception error) {
            return ("FAILED " + error).replaceAll("\\s+", " ");
        }
    }

    @Override
    protected ProtocolVersion[] getSupportedVersions() {
        return version.only();
    }

    @Override
    protected int[] getSupportedCipherSuites() {
        return new int[] {
            CipherSuite.TLS_AES_128_GCM_SHA256, CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        };
    }

    @Override
    protected boolean allowCertificateStatus() {
        return !type.equals("nothing");
    }

    @Override
    protected boolean allowMultiCertStatus() {
        return type.equals("ocsp_multi");
    }

    @Override
    public CertificateStatus getCertificateStatus() {
        switch (type) {
            case "ocsp":
                return new CertificateStatus(CertificateStatusType.ocsp, responses.get(0));
            case "ocsp_multi":
                return new CertificateStatus(CertificateStatusType.ocsp_multi, new Vector<>(responses));
            default:
                return null;
        }
    }

    @Override
    public TlsCredentials getCredentials() throws IOException {
        return version == ProtocolVersion.TLSv13 ? signer(withEntries()) : super.getCredentials();
    }

    @Override
    protected TlsCredentialedSigner getECDSASignerCredentials() {
        return signer(new Certificate(chain));
    }

    private TlsCredentialedSigner signer(Certificate message) {
        TlsCryptoParameters parameters = new TlsCryptoParameters(context);
        return new BcDefaultTlsCredentialedSigner(parameters, crypto, key, message, SIGNATURE);
    }

    // The Certificate message of TLS 1.3: each entry has its own CertificateStatus in an extension.
    private Certificate withEntries() throws IOException {
        CertificateEntry[] entries = new CertificateEntry[chain.length];
        for (int place = 0; place < chain.length; place++) {
            Hashtable<Integer, byte[]> extensions = new Hashtable<>();
            if (type.equals("entries") && place < responses.size() && responses.get(place) != null) {
                byte[] response = responses.get(place).getEncoded();
                byte[] body = new byte[4 + response.length];
                body[0] = (byte) CertificateStatusType.ocsp;
                TlsUtils.writeUint24(response.length, body, 1);
                System.arraycopy(response, 0, body, 4, response.length);
                extensions.put(TlsExtensionsUtils.EXT_status_request, body);
            }
            entries[place] = new CertificateEntry(chain[place], extensions);
        }
        return new Certificate(TlsUtils.EMPTY_BYTES, entries);
    }
}
