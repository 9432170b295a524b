import { expect, test } from "vitest";
import { networkBody } from "./network-body.ts";

const labels = { "sh.dflow.agent": "a" };

test("asks Docker for an environment's network exactly like this", () => {
  const parts = { gateway: "10.218.0.1", guests: "10.218.0.48/28", deadEnd: "10.218.0.62" };
  const request = { name: "dflow-env-e", kind: "private", subnet: "10.218.0.0/26", parts } as const;
  expect(networkBody({ ...request, labels })).toMatchInlineSnapshot(`
    {
      "CheckDuplicate": true,
      "Driver": "bridge",
      "EnableIPv6": false,
      "IPAM": {
        "Config": [
          {
            "AuxiliaryAddresses": {
              "DefaultGatewayIPv4": "10.218.0.62",
            },
            "Gateway": "10.218.0.1",
            "IPRange": "10.218.0.48/28",
            "Subnet": "10.218.0.0/26",
          },
        ],
        "Driver": "default",
      },
      "Internal": true,
      "Labels": {
        "sh.dflow.agent": "a",
      },
      "Name": "dflow-env-e",
      "Options": {},
    }
  `);
});

test("asks Docker for a way out exactly like this", () => {
  const request = { name: "dflow-out-e", kind: "outgoing", subnet: "10.218.0.64/26" } as const;
  expect(networkBody({ ...request, labels })).toMatchInlineSnapshot(`
    {
      "CheckDuplicate": true,
      "Driver": "bridge",
      "EnableIPv6": false,
      "IPAM": {
        "Config": [
          {
            "Subnet": "10.218.0.64/26",
          },
        ],
        "Driver": "default",
      },
      "Internal": false,
      "Labels": {
        "sh.dflow.agent": "a",
      },
      "Name": "dflow-out-e",
      "Options": {
        "com.docker.network.bridge.enable_icc": "false",
      },
    }
  `);
});
