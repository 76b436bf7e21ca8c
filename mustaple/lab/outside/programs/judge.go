// Asks golang.org/x/crypto/ocsp, for each line read, what it makes of one OCSP response about one certificate.
//
// A line read is "KIND TIME SUBJECT ISSUER EVIDENCE NONCE", with tabs between: KIND is ocsp, the certificates and the
// response are base64 of DER; time and nonce are for others. A line written is "OUTCOME DETAIL", with a tab between:
// good, revoked, unknown, refused, or crash.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/ocsp"
)

func main() {
	questions := bufio.NewScanner(os.Stdin)
	questions.Buffer(nil, 4<<20)
	for questions.Scan() {
		outcome, detail := judge(strings.Split(questions.Text(), "\t"))
		fmt.Printf("%s\t%s\n", outcome, strings.ReplaceAll(detail, "\n", " "))
	}
}

func judge(question []string) (outcome string, detail string) {
	defer func() {
		if problem := recover(); problem != nil {
			outcome, detail = "crash", fmt.Sprint(problem)
		}
	}()
	subject, err := certificate(question[2])
	if err != nil {
		return "refused", err.Error()
	}
	issuer, err := certificate(question[3])
	if err != nil {
		return "refused", err.Error()
	}
	response, err := base64.StdEncoding.DecodeString(question[4])
	if err != nil {
		panic(err)
	}
	said, err := ocsp.ParseResponseForCert(response, subject, issuer)
	if err != nil {
		return "refused", err.Error()
	}
	switch said.Status {
	case ocsp.Good:
		return "good", ""
	case ocsp.Revoked:
		return "revoked", ""
	}
	return "unknown", ""
}

func certificate(encoded string) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		panic(err)
	}
	return x509.ParseCertificate(der)
}
